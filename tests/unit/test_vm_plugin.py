"""The pytest plugin, with processes for machines: outcomes, choice of tests, order, fixtures."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ringway.vm.pytest_plugin import IN_MACHINE

pytest_plugins = ["pytester"]

Result = pytest.RunResult
Run = Callable[..., Result]

ADDRESS = re.compile("0x[0-9a-f]+")

#: One of everything that a test can come to.
EVERYTHING = """
    import asyncio, os, sys, unittest, warnings
    import pytest

    pytestmark = pytest.mark.emulated_nvme(topology="basic")
    THERE = "RINGWAY_VM" in os.environ

    @pytest.fixture(scope="module")
    def shared():
        print("made")
        yield []
        print("unmade")

    @pytest.fixture
    def broken_before():
        raise RuntimeError("no set-up")

    @pytest.fixture
    def broken_after():
        yield
        raise RuntimeError("no tear-down")

    def test_there(record_property, tmp_path):
        assert THERE
        (tmp_path / "note").write_text("x")
        record_property("speed", 3)

    @pytest.mark.parametrize("word", ["", "a/b", "ü[1]"])
    @pytest.mark.parametrize("number", [1, 2.5])
    def test_parameters(shared, word, number):
        shared.append(word)
        assert len(shared) < 5, "told"

    def test_words(capsys):
        print("on stdout")
        print("on stderr", file=sys.stderr)
        left = {"a": [1, 2, 3]}
        assert left == {"a": [1, 2, 4]}

    def test_warns():
        warnings.warn("careful", DeprecationWarning)
        warnings.warn(pytest.PytestWarning("of pytest's"))

    def test_skips():
        pytest.skip("not today")

    @pytest.mark.skip(reason="never")
    def test_marked_skip(): ...

    @pytest.mark.skipif(THERE, reason="not there")
    def test_skipped_there(): ...

    @pytest.mark.xfail(reason="known")
    def test_xfails():
        raise KeyError("k")

    @pytest.mark.xfail(strict=True)
    def test_xpasses(): ...

    def test_error_before(broken_before): ...

    def test_error_after(broken_after): ...

    class TestClass:
        @pytest.fixture(autouse=True, scope="class")
        @classmethod
        def state(cls):
            cls.value = 1

        def test_method(self):
            assert self.value == 1

    class TestUnit(unittest.TestCase):
        def setUp(self):
            self.value = 1

        def test_unit(self):
            self.assertEqual(self.value, 2)

    @pytest.mark.asyncio
    async def test_awaits():
        await asyncio.sleep(0)
        assert THERE

    def test_chain():
        try:
            {}["x"]
        except KeyError as error:
            raise ValueError("from it") from error
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """pytest in a project whose machines are processes."""
    monkeypatch.delenv(IN_MACHINE, raising=False)
    monkeypatch.setenv("TMPDIR", str(pytester.path))
    pytester.makeconftest(Path(__file__).with_name("local_machine.py").read_text())

    def call(*arguments: str) -> Result:
        command = (sys.executable, "-m", "pytest", "-p", "no:hypothesispytest")
        return pytester.run(*command, *arguments, timeout=100)

    return call


@pytest.fixture
def conftest(pytester: pytest.Pytester) -> Callable[[str], None]:
    """More of the project's conftest."""

    def add(text: str) -> None:
        with open(pytester.path / "conftest.py", "a") as file:
            file.write("\n" + textwrap.dedent(text))

    return add


def boots(result: Result) -> int:
    return str(result.stdout).count("booting a machine")


def sentences(result: Result) -> str:
    """What was printed, without what no two runs have in common."""
    lines = [line for line in result.outlines if line and not line.startswith("emulated NVMe:")]
    return re.sub(r"\d+\.\d+s|0x[0-9a-f]+|pytest-\w+|={3,}", "", "\n".join(lines))


def cases(file: Path) -> list[tuple[str, ...]]:
    """What a report for other programs has of every test."""
    return [
        (
            case.get("classname", ""),
            case.get("name", ""),
            *(
                f"{part.tag} {part.attrib} {ADDRESS.sub('', part.text or '')}"
                for part in case.iter()
            ),
        )
        for case in ElementTree.parse(file).iter("testcase")
        if case.attrib.pop("time")
    ]


def test_everything_is_as_if_the_tests_were_here(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(EVERYTHING)
    arguments = ("-v", "-rA", "-o", "junit_family=xunit1", "--junitxml")
    there = run(*arguments, "out.xml")
    there_cases = cases(pytester.path / "out.xml")
    monkeypatch.setenv(IN_MACHINE, "basic")
    here = run(*arguments, "out.xml")
    assert boots(there) == 1
    assert boots(here) == 0
    assert sentences(there).splitlines() == sentences(here).splitlines()
    assert there_cases == cases(pytester.path / "out.xml")
    there.assert_outcomes(passed=9, failed=6, errors=2, skipped=3, xfailed=1, warnings=2)


def test_tests_are_chosen_here(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_a="""
        import os, pytest
        @pytest.mark.emulated_nvme
        @pytest.mark.parametrize("n", range(4))
        def test_number(n):
            assert n != 1 and "RINGWAY_VM" in os.environ
        """
    )
    run("-k", "0 or 3").assert_outcomes(passed=2, deselected=2)
    run("-x").assert_outcomes(passed=1, failed=1)
    run("--lf").assert_outcomes(failed=1)
    first = run("--ff", "-v")
    first.assert_outcomes(passed=3, failed=1)
    first.stdout.fnmatch_lines(["*::test_number[[]1] FAILED*", "*::test_number[[]0] PASSED*"])
    run("test_a.py::test_number[2]").assert_outcomes(passed=1)
    run("-m", "not emulated_nvme").assert_outcomes(deselected=4)


def test_one_boot_for_each_topology_and_nothing_is_torn(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        test_a="""
        import os, pytest
        PLACE = os.environ.get("RINGWAY_VM", "here")

        @pytest.fixture(scope="module")
        def place():
            print("", PLACE, "begins")
            yield PLACE
            print("", PLACE, "ends")

        @pytest.fixture(scope="session", params=["one", "two"])
        def twice(request):
            return request.param

        def test_1(place): assert place == "here"

        @pytest.mark.emulated_nvme(topology="basic")
        def test_2(place, twice): assert place == "basic"

        @pytest.mark.emulated_nvme(topology="many")
        def test_3(place): assert place == "many"

        def test_4(place): assert place == "here"

        @pytest.mark.emulated_nvme("basic")
        def test_5(place, twice): assert place == "basic"
        """,
        test_b="""
        import pytest
        @pytest.mark.emulated_nvme(topology="many")
        def test_6(): ...
        def test_7(): ...
        """,
    )
    result = run("-v", "-s")
    result.assert_outcomes(passed=9)
    assert boots(result) == 2
    text = str(result.stdout)
    order = re.findall(r"^test_.\.py::test_(\d)", text, re.MULTILINE)
    assert order == ["1", "4", "7", "2", "5", "2", "5", "3", "6"]
    marks = re.findall(r"(\w+) (begins|ends)", text)
    assert [word for place, word in marks if place == "here"] == ["begins", "ends"]
    assert [word for place, word in marks if place == "many"] == ["begins", "ends"]


def test_fixtures_here_end_where_a_test_there_is_the_last(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        test_a="""
        import pytest
        @pytest.fixture(scope="module")
        def ending():
            yield
            raise RuntimeError("bad end")
        def test_1(ending): ...
        @pytest.mark.emulated_nvme
        def test_2(): ...
        """
    )
    result = run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_2*", "*RuntimeError: bad end"])


def test_what_is_written_is_seen_at_once(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.mark.emulated_nvme
        def test_talks():
            print("to stdout")
            os.write(2, b"to stderr\\n")
        """
    )
    result = run("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*to stdout*"])
    result.stderr.fnmatch_lines(["*to stderr*"])


def test_a_debugger_is_refused(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.emulated_nvme
        def test_stops():
            breakpoint()
        """
    )
    result = run("--pdb")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--pdb does not reach*", "*there is no debugger in the machine*"])


# ------------------------------------------------------------ markers and options


def test_markers_that_cannot_be_followed_are_collection_errors(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        test_a="""
        import pytest
        @pytest.mark.emulated_nvme(topology="basci")
        def test_1(): ...
        """,
        test_b="""
        import pytest
        class TestOne:
            @pytest.mark.emulated_nvme(size=3)
            def test_2(self): ...
        """,
        test_c="def test_3(): ...",
    )
    result = run("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting test_a.py*",
            "*test_1: *unknown topology 'basci'; did you mean basic?",
            "*ERROR collecting test_b.py*",
            "*test_2: *it takes one argument*",
        ]
    )


def test_a_file_beside_the_test_or_below_the_root(run: Run, pytester: pytest.Pytester) -> None:
    topology = '[[controller]]\n[[controller.namespace]]\nsize = "1MiB"\n'
    for folder in ("inner", "vm"):
        pytester.mkdir(folder)
        (pytester.path / folder / "mine.toml").write_text(topology)
    (pytester.path / "inner/test_a.py").write_text(
        textwrap.dedent("""
            import os, pytest
            @pytest.mark.emulated_nvme(topology="mine.toml")
            def test_1(): assert os.environ["RINGWAY_VM"].endswith("/inner/mine.toml")
            @pytest.mark.emulated_nvme(topology="vm/mine.toml")
            def test_2(emulated_nvme):
                assert emulated_nvme.topology.endswith("/vm/mine.toml")
                assert emulated_nvme.controllers[0].name == "nvme0"
                assert emulated_nvme.controllers[0].driver is None
        """)
    )
    run().assert_outcomes(passed=2)


MARKED = """
    import pytest
    @pytest.mark.emulated_nvme
    def test_1(): ...
    def test_2(): ...
"""


def test_off(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MARKED)
    result = run("-rs", "--emulated-nvme=off")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*test_off.py:2: emulated NVMe is switched off*"])
    pytester.makeini("[pytest]\nemulated_nvme = off")
    run().assert_outcomes(passed=1, skipped=1)


def test_a_host_without_machines_skips_unless_they_were_asked_for(
    run: Run, pytester: pytest.Pytester, conftest: Callable[[str], None]
) -> None:
    pytester.makepyfile(MARKED)
    conftest(
        """
        from ringway.vm.errors import UnavailableError
        LocalStarter.refusal = UnavailableError("there is no qemu-system-x86_64; install it")
        """
    )
    result = run("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*there is no qemu-system-x86_64; install it"])
    run("--emulated-nvme=tcg").assert_outcomes(passed=1, errors=1)


def test_the_fixtures_say_that_the_marker_is_missing(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_1(nvme_block_device): ...")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mark the test with @pytest.mark.emulated_nvme*"])


def test_workers_of_xdist_refuse(
    run: Run, pytester: pytest.Pytester, conftest: Callable[[str], None]
) -> None:
    pytester.makepyfile(MARKED)
    conftest(
        """
        def pytest_collection_finish(session):
            session.config.workerinput = {}
        """
    )
    result = run("-p", "no:junitxml")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*do not run in workers of pytest-xdist*-n 0"])


@pytest.mark.parametrize("wrong", ["--emulated-nvme-timeout=0", "--emulated-nvme-timeout=soon"])
def test_a_wrong_limit_is_refused(run: Run, pytester: pytest.Pytester, wrong: str) -> None:
    pytester.makepyfile(MARKED)
    result = run(wrong)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: emulated_nvme_timeout: *is no number of seconds above 0"])


def test_other_projects_pay_next_to_nothing() -> None:
    """A session without marked tests needs neither the core nor numpy, broken or not."""
    code = "import sys, ringway.vm.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    loaded = done.stdout.decode().split()
    ours = {name for name in loaded if name.startswith("ringway")}
    assert ours == {"ringway", "ringway.vm", "ringway.vm.pytest_plugin"}
    assert not {"numpy", "cffi", "msgspec"} & set(loaded)
