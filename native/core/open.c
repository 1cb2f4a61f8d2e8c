/* Opening: a path by name, or the best one that works here, and why. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/device.h"
#include "core/error.h"
#include "core/open.h"
#include "core/registry.h"
#include "core/target.h"

static uint32_t all_options(const struct rw_path *path)
{
	uint32_t bits = 0;

	for (const struct rw_option_info *o = path->options; o && o->name; o++)
		bits |= o->bit;
	return bits;
}

static int check_path(const struct rw_path *path, const struct rw_target *target,
		      const struct rw_open_request *request)
{
	int error = rw_path_check(path);

	if (error)
		return error;
	if (request->options & ~all_options(path))
		return rw_fail(EINVAL, "path %s has no option 0x%x", path->info.name,
			       request->options & ~all_options(path));
	if (rw_path_serves(path, target->scheme))
		return 0;
	if (path->info.scheme)
		return rw_fail(EINVAL, "path %s serves targets like %s:…, not %s", path->info.name,
			       path->info.scheme, target->text);
	return rw_fail(EINVAL, "path %s serves files and block devices, not %s", path->info.name,
		       target->text);
}

static int find_path(const char *name, const struct rw_path **out)
{
	*out = rw_registry_find(name);
	return *out ? 0 : rw_fail(EINVAL, "there is no path \"%s\"", name);
}

/* What EMEDIUMTYPE says is for the choice between paths. */
static int told(int error)
{
	return error == -EMEDIUMTYPE ? -EINVAL : error;
}

int rw_probe(const struct rw_open_request *request)
{
	const struct rw_path *path;
	struct rw_target target;
	int error = rw_target_parse(request->target, &target);

	if (!error)
		error = find_path(request->path ? request->path : "", &path);
	if (!error)
		error = check_path(path, &target, request);
	return error ? error : told(path->probe(&target, request));
}

static int open_with(const struct rw_path *path, const struct rw_target *target,
		     const struct rw_open_request *request, struct rw_device **out)
{
	struct rw_device *device = rw_device_new(path, target->text);
	int error;

	if (!device)
		return rw_fail(ENOMEM, "no memory for a device");
	error = path->open(device, target, request);
	if (error) {
		rw_device_put(device);
		return error;
	}
	device->info.options = request->options;
	rw_device_publish(device);
	*out = device;
	return 0;
}

/* Reasons gathered on the way to a choice. */
struct reasons {
	char text[sizeof(((struct rw_device *)0)->why)];
};

static void add_reason(struct reasons *reasons, const char *what, const char *why)
{
	size_t used = strlen(reasons->text);

	if (strstr(reasons->text, why))
		return; /* every path says the same of this target */
	snprintf(reasons->text + used, sizeof(reasons->text) - used, "%s%s: %s", used ? "; " : "",
		 what, why);
}

/* The options this path would like, less those refused here. */
static uint32_t choose_options(const struct rw_path *path, const struct rw_target *target,
			       struct rw_open_request request, struct reasons *reasons)
{
	uint32_t chosen = 0;

	for (const struct rw_option_info *o = path->options; o && o->name; o++) {
		if (!(path->preferred & o->bit))
			continue;
		request.options = chosen | o->bit;
		if (path->probe(target, &request))
			add_reason(reasons, o->name, rw_detail());
		else
			chosen |= o->bit;
	}
	return chosen;
}

static int choose(const struct rw_target *target, struct rw_open_request request,
		  struct reasons *reasons, struct rw_device **out)
{
	int failure = 0, error;

	for (uint32_t i = 0; rw_registry_at(i); i++) {
		const struct rw_path *path = rw_registry_at(i);
		char text[512];

		if (!rw_path_serves(path, target->scheme))
			continue;
		request.options = 0;
		error = check_path(path, target, &request);
		if (!error)
			error = path->probe(target, &request);
		if (!error) {
			request.options = choose_options(path, target, request, reasons);
			return open_with(path, target, &request, out);
		}
		snprintf(text, sizeof(text), "%s", rw_detail());
		/* What is wrong with the target itself is wrong on every path. */
		if (rw_open_is_final(error))
			return rw_fail(-error, "%s", text);
		/* That it serves another kind of target is no news. */
		if (error == -EMEDIUMTYPE)
			continue;
		add_reason(reasons, path->info.name, text);
		failure = error;
	}
	return rw_fail(failure ? -failure : EINVAL, "no path can open %s: %s", target->text,
		       reasons->text);
}

bool rw_open_is_final(int error)
{
	return error == -ENOENT || error == -EACCES || error == -EISDIR || error == -EBUSY ||
	       error == -EROFS || error == -ENXIO || error == -ENOTDIR || error == -ELOOP ||
	       error == -ENOMEDIUM;
}

static void note_why(struct rw_device *device, const char *choice, const struct reasons *reasons)
{
	snprintf(device->why, sizeof(device->why), "%s%s%s", choice,
		 reasons->text[0] ? "; not used: " : "", reasons->text);
}

int rw_device_open(const struct rw_open_request *request, struct rw_device **out)
{
	struct reasons reasons = { .text = "" };
	const struct rw_path *path;
	struct rw_target target;
	int error = rw_target_parse(request->target, &target);

	if (error)
		return error;
	if (!request->path) {
		error = choose(&target, *request, &reasons, out);
		if (!error)
			note_why(*out, "the best path that works here", &reasons);
		return error;
	}
	error = find_path(request->path, &path);
	if (!error)
		error = check_path(path, &target, request);
	if (!error)
		error = open_with(path, &target, request, out);
	if (!error)
		note_why(*out, "asked for by name", &reasons);
	return told(error);
}
