"""The pytest plugin where the machine, its pytest or the person at the keyboard ends things."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ringway.vm.pytest_plugin import IN_MACHINE

pytest_plugins = ["pytester"]

Result = pytest.RunResult
Run = Callable[..., Result]
Conftest = Callable[[str], None]

COMMAND = (sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")


@pytest.fixture
def conftest(pytester: pytest.Pytester) -> Conftest:
    """More of the project's conftest, whose machines are processes."""
    pytester.makeconftest(Path(__file__).with_name("local_machine.py").read_text())

    def add(text: str) -> None:
        with open(pytester.path / "conftest.py", "a") as file:
            file.write("\n" + textwrap.dedent(text))

    return add


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, conftest: Conftest
) -> Callable[..., Result]:
    """pytest in a project that has one file of tests."""
    monkeypatch.delenv(IN_MACHINE, raising=False)
    monkeypatch.setenv("TMPDIR", str(pytester.path))

    def call(tests: str, *arguments: str) -> Result:
        head = "import os, signal, sys, time, pytest\npytestmark = pytest.mark.emulated_nvme\n"
        pytester.makepyfile(test_a=head + textwrap.dedent(tests))
        return pytester.run(*COMMAND, *arguments, timeout=100)

    return call


def boots(result: Result) -> int:
    return str(result.stdout).count("booting a machine")


def test_a_test_that_ends_pytest_fails_and_the_rest_run_elsewhere(run: Run) -> None:
    result = run(
        """
        def test_1(): ...
        def test_2(capfd):
            with capfd.disabled():
                os.write(2, b"last words\\n")
            os._exit(7)
        def test_3(): ...
        """,
        "--junitxml=out.xml",
    )
    result.assert_outcomes(passed=2, failed=1)
    assert boots(result) == 2
    result.stdout.fnmatch_lines(
        ["*the pytest in the machine ended with status 7", "*Written to stderr*", "last words"]
    )
    assert Path("out.xml").read_text().count("<testcase") == 3


def test_a_machine_that_dies_shows_its_console(run: Run) -> None:
    result = run(
        """
        @pytest.fixture
        def doomed():
            yield
            with open("console.txt", "w") as file:
                print(*range(59), "Kernel panic", sep="\\n", file=file)
            os.kill(os.getpid(), signal.SIGKILL)
        def test_1(doomed): ...
        def test_2(): ...
        """
    )
    result.assert_outcomes(passed=2, errors=1)
    text = str(result.stdout)
    assert "QEMU was killed by signal 9; the machine's log is LOG" in text
    assert re.search(r"End of the machine's console -+\n0\n1\n", text)


def test_machines_are_not_lost_without_end(run: Run) -> None:
    result = run(
        """
        @pytest.mark.parametrize("n", range(6))
        def test_1(n):
            os.kill(os.getpid(), signal.SIGSEGV)
        """
    )
    result.assert_outcomes(failed=3, errors=3)
    assert boots(result) == 3
    result.stdout.fnmatch_lines(["*3 machines of this topology were lost before*signal 11*"])


def test_a_test_that_hangs_shows_where(run: Run, conftest: Conftest) -> None:
    conftest("import ringway.vm.pytest_link as link\nlink._GRACE = 1.0\n")
    result = run(
        """
        def test_1():
            waiting_for_a_drive()
        def waiting_for_a_drive():
            time.sleep(60)
        def test_2(): ...
        """,
        "--emulated-nvme-timeout=1",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*did not end the test within 1 s*", "*File*line * in waiting_for_a_drive"]
    )
    assert boots(result) == 2


def test_timeouts_of_tests_count_there_and_do_not_count_the_boot(
    run: Run, conftest: Conftest
) -> None:
    conftest("import time\nif IN_MACHINE in os.environ: time.sleep(1.2)\n")
    result = run(
        """
        @pytest.mark.timeout(1)
        def test_1(): ...
        @pytest.mark.timeout(0.2)
        def test_2(): time.sleep(30)
        @pytest.mark.timeout(0.2, method="thread")
        def test_3(): time.sleep(30)
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*Failed: Timeout*"])
    assert "~ Stack of MainThread" in str(result.stdout) + str(result.stderr)


def test_a_machine_that_does_not_come_up_is_tried_once(run: Run, conftest: Conftest) -> None:
    conftest("if IN_MACHINE in os.environ: os._exit(3)\n")
    result = run("def test_1(): ...\ndef test_2(): ...\n")
    result.assert_outcomes(errors=2)
    assert boots(result) == 1
    result.stdout.fnmatch_lines(["*ended with status 3", "*did not come up before: *status 3"])


def test_other_ids_there_make_a_clear_sentence(run: Run) -> None:
    result = run(
        """
        @pytest.mark.parametrize("place", [os.environ.get("RINGWAY_VM", "here"), "x"])
        def test_1(place): ...
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*its id must be the same there*test_1[[]basic], *test_1[[]x]."])


def test_a_file_that_cannot_be_imported_there_shows_why(run: Run) -> None:
    result = run(
        """
        if "RINGWAY_VM" in os.environ:
            import missing_there
        def test_1(): ...
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*No module named 'missing_there'"])


def test_a_test_can_end_the_session(run: Run) -> None:
    result = run(
        """
        def test_1(): ...
        def test_2(): pytest.exit("enough", returncode=9)
        def test_3(): ...
        """
    )
    assert result.ret == 9
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*Exit: enough*"])


def test_errors_of_pytest_there_are_shown(run: Run, conftest: Conftest) -> None:
    conftest(
        """
        def pytest_runtest_setup(item):
            if item.name == "test_2":
                raise SystemError("plugin trouble")
        def pytest_runtest_logreport(report):
            if IN_MACHINE in os.environ and report.nodeid.endswith("test_1"):
                raise SystemError("deep trouble")
        """
    )
    result = run("def test_1(): ...\ndef test_2(): ...\n")
    result.stdout.fnmatch_lines(
        ["*pytest failed in the machine:", "*SystemError: deep trouble", "*plugin trouble"]
    )
    assert boots(result) == 2


def test_session_fixtures_end_when_stopped_early(run: Run) -> None:
    result = run(
        """
        @pytest.fixture(scope="session", autouse=True)
        def lasting():
            yield
            open("ended", "w").close()
        def test_1(): assert 0
        def test_2(): ...
        """,
        "-x",
    )
    result.assert_outcomes(failed=1)
    assert Path("ended").exists()


def test_a_failing_end_of_session_is_told(run: Run) -> None:
    result = run(
        """
        @pytest.fixture(scope="session", autouse=True)
        def lasting():
            yield
            raise RuntimeError("bad end")
        def test_1(): assert 0
        def test_2(): ...
        """,
        "-x",
    )
    result.stdout.fnmatch_lines(["*the end of the session failed in the machine: *bad end*"])


def test_the_log_is_kept(run: Run) -> None:
    Path("console.txt").write_text("Linux version")
    run("def test_1(): ...", "--emulated-nvme-log=logs/vm").assert_outcomes(passed=1)
    assert Path("logs/vm/basic-1.log").read_text() == "Linux version"


def test_ctrl_c(run: Run, pytester: pytest.Pytester, conftest: Conftest) -> None:
    run(
        """
        def test_1():
            with open("pid", "w") as file:
                file.write(str(os.getpid()))
            time.sleep(60)
        """,
        "--collect-only",
    )
    with subprocess.Popen(
        [*COMMAND], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        await_true(lambda: Path("pid").exists() and Path("pid").read_text())
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in out
    assert not Path("/proc", Path("pid").read_text()).exists()


def await_true(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
