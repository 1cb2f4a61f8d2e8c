/*
 * The sync calls in their common case, as methods of a type that Device
 * inherits: two positional arguments, a Buffer whose span is known, success.
 * Everything else goes to the Python method of the same name with an underscore
 * before it, which knows all cases.
 *
 * Why not cffi: after a system call the caches are cold, and a Python frame
 * around a cffi call then costs a fifth of a 4 KiB read from the page cache.
 * Limited API of Python 3.10, like the rest of the extension.
 */
#include <Python.h>
#include <stdbool.h>

#include <errno.h>

#include "ringway.h"

struct calls {
	PyObject_HEAD
	struct rw_device *device;
	long long timeout_ns;
};

static PyObject *span_name;       /* "_span_at" */
static PyObject *buffer_type;

/* The span of a Buffer that has been used before; false, maybe with an exception, otherwise. */
static bool known_span(PyObject *buffer, struct rw_span *out)
{
	PyObject *address;
	const struct rw_span *span;

	if ((PyObject *)Py_TYPE(buffer) != buffer_type)
		return false;
	address = PyObject_GetAttr(buffer, span_name);
	if (!address)
		return false;
	span = PyLong_AsVoidPtr(address);
	Py_DECREF(address);
	if (span)
		*out = *span; /* the record itself is only there as long as the GIL is held */
	return span != NULL;
}

static PyObject *complete_call(PyObject *self, const char *name, PyObject *const *args,
			       Py_ssize_t n, PyObject *names)
{
	PyObject *method, *positional, *named = NULL, *result = NULL;
	Py_ssize_t count = names ? PyTuple_Size(names) : 0;

	PyErr_Clear();
	method = PyObject_GetAttrString(self, name);
	positional = PyTuple_New(n);
	if (!method || !positional || (count && !(named = PyDict_New())))
		goto out;
	for (Py_ssize_t i = 0; i < n; i++) {
		Py_INCREF(args[i]);
		PyTuple_SetItem(positional, i, args[i]);
	}
	for (Py_ssize_t i = 0; i < count; i++)
		if (PyDict_SetItem(named, PyTuple_GetItem(names, i), args[n + i]))
			goto out;
	result = PyObject_Call(method, positional, named);
out:
	Py_XDECREF(method);
	Py_XDECREF(positional);
	Py_XDECREF(named);
	return result;
}

/* A signal's handler may raise before _finish has begun: then the operation is given up here. */
static PyObject *finish(PyObject *self, int64_t code)
{
	PyObject *result = PyObject_CallMethod(self, "_finish", "L", (long long)code);

	if (result || code != -EINTR)
		return result;
	Py_BEGIN_ALLOW_THREADS
	rw_device_abandon(((const struct calls *)self)->device, 0);
	Py_END_ALLOW_THREADS
	return NULL;
}

static PyObject *call(PyObject *self, uint32_t opcode, const char *name, PyObject *const *args,
		      Py_ssize_t n, PyObject *names)
{
	const struct calls *calls = (const struct calls *)self;
	unsigned long long offset;
	struct rw_span span;
	int64_t moved;

	if (n != 2 || names || !known_span(args[1], &span))
		return complete_call(self, name, args, n, names);
	offset = PyLong_AsUnsignedLongLong(args[0]);
	if (offset == (unsigned long long)-1 && PyErr_Occurred())
		return complete_call(self, name, args, n, names);
	Py_BEGIN_ALLOW_THREADS
	moved = rw_device_transfer(calls->device, opcode, offset, &span, calls->timeout_ns);
	Py_END_ALLOW_THREADS
	if (moved >= 0)
		return PyLong_FromLongLong(moved);
	return finish(self, moved);
}

static PyObject *readinto(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
	return call(self, RW_READ, "_readinto", args, n, names);
}

static PyObject *write_from(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
	return call(self, RW_WRITE, "_write", args, n, names);
}

static PyObject *bind(PyObject *self, PyObject *args)
{
	struct calls *calls = (struct calls *)self;
	unsigned long long device;

	if (!PyArg_ParseTuple(args, "KL", &device, &calls->timeout_ns))
		return NULL;
	calls->device = (struct rw_device *)(uintptr_t)device;
	Py_RETURN_NONE;
}

/* Both types: what is given to tp_free and decref'd last is a heap type's instance. */
static void free_instance(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	release(self);
	Py_DECREF(type);
}

/* The handle goes with the object, not before: in a cycle others may still use it. */
static void calls_dealloc(PyObject *self)
{
	struct calls *calls = (struct calls *)self;

	if (calls->device)
		rw_device_destroy(calls->device);
	free_instance(self);
}

/* ------------------------------------------------------------ queue handles */

struct queue_handle {
	PyObject_HEAD
	struct rw_queue *queue;
};

static PyObject *bind_queue(PyObject *self, PyObject *address)
{
	((struct queue_handle *)self)->queue = PyLong_AsVoidPtr(address);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

static void queue_dealloc(PyObject *self)
{
	struct rw_queue *queue = ((struct queue_handle *)self)->queue;

	if (queue)
		rw_queue_destroy(queue, 0);
	free_instance(self);
}

static PyMethodDef queue_methods[] = {
	{ "_bind", bind_queue, METH_O, "Queue address; once." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot queue_slots[] = {
	{ Py_tp_methods, queue_methods },
	{ Py_tp_dealloc, queue_dealloc },
	{ Py_tp_doc, "Frees a queue with its last reference; the queue is closed before." },
	{ 0, NULL },
};

static PyType_Spec queue_spec = {
	.name = "ringway._native._calls.QueueHandle",
	.basicsize = sizeof(struct queue_handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = queue_slots,
};

/* -------------------------------------------------------------- the module */

static PyMethodDef methods[] = {
	{ "readinto", (PyCFunction)(void (*)(void))readinto, METH_FASTCALL | METH_KEYWORDS,
	  "readinto($self, offset, buffer, timeout=None)\n--\n\n"
	  "Fills `buffer` from `offset`; returns the bytes read.\n\n"
	  "That is its length, or less only where the device ends inside its last block. `buffer`\n"
	  "is any writable contiguous memory, aligned to `memory_alignment`." },
	{ "write", (PyCFunction)(void (*)(void))write_from, METH_FASTCALL | METH_KEYWORDS,
	  "write($self, offset, data, timeout=None)\n--\n\n"
	  "Writes all of `data` at `offset`; returns the bytes written.\n\n"
	  "Data that is not aligned to `memory_alignment`, as ``bytes`` seldom are, is copied first;\n"
	  "a `Buffer` never is." },
	{ "_bind", bind, METH_VARARGS, "Device address and timeout in ns; before any other call." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_methods, methods },
	{ Py_tp_dealloc, calls_dealloc },
	{ Py_tp_doc, "Sync calls of a device; frees it with its last reference." },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "ringway._native._calls.Calls",
	.basicsize = sizeof(struct calls),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

static PyObject *set_buffer_type(PyObject *module, PyObject *type)
{
	(void)module;
	Py_INCREF(type);
	Py_XDECREF(buffer_type);
	buffer_type = type;
	Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
	{ "set_buffer_type", set_buffer_type, METH_O, "The type whose `_span_at` is trusted." },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, .m_name = "_calls", .m_size = -1, .m_methods = functions,
};

/* Found by name in the extension that cffi's module is in too: they share the core's state. */
PyMODINIT_FUNC PyInit__calls(void)
{
	PyObject *module = PyModule_Create(&definition);

	span_name = PyUnicode_InternFromString("_span_at");
	if (!module || !span_name || PyModule_AddObject(module, "Calls", PyType_FromSpec(&spec)) ||
	    PyModule_AddObject(module, "QueueHandle", PyType_FromSpec(&queue_spec)))
		return NULL;
	return module;
}
