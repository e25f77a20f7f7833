"""Which tests do not run in each of the three runs of `make test`, and why.

| run | Python | core | tests |
| --- | --- | --- | --- |
| `make test-compiled` | that of .venv | compiled | all |
| `make test-pure` | that of .venv | uncompiled | without `once` and `compiled` |
| `make test-other` | the system's | compiled | without `once`, `builds` and `slow` |

Each test runs in the first one. The second one has what depends on the build: the core, and for each layer above it some tests
that show that it works on the uncompiled core. The third one has what depends on Python's version: sockets, asyncio, selectors,
TLS, patching, programs, the commands, the pytest plugin, processes, and a part of the core. The marks:

once: it does not depend on the build or on Python's version
compiled: it does not depend on the build
builds: it does not depend on Python's version
all: it runs everywhere, although its folder has another mark

A test that is not here, and has no such mark of its own, runs in all of them. Its longest beginning here decides. What the two
builds do is compared frame by frame in tests/parity and by the fuzzers. `make compilers` runs tests/pystack_c and tests/parity on
both Pythons.
"""

import functools

CORE = "it computes in the core, which is the same C on each Python"
ORACLE = "it compares the core's decisions with the kernel's, and tests/parity compares the builds"
LIVE = "it waits for the kernel in real time, and other tests here show that the driver works"
SIMULATION = "a simulation, which is the same on both builds and Pythons"
READS = "it reads the source"
PAGE = "it compares a page with the source"
DEVELOPERS = "it tests a tool for developers"
COMMAND = "a command's own work does not depend on the build"
RECORDED = "it computes from recordings, which are the same on both builds and Pythons"
GRADED = "each lab's solution goes through the grader's process on each Python"

#: beginning of a test's name -> its mark and the reason
SPREAD = {
    # -- what is about the tree
    "tests/test_debugging.py": ("once", "it starts debuggers, which run both builds themselves"),
    "tests/test_docs.py": ("once", "it reads the pages"),
    "tests/test_families.py": ("once", READS),
    "tests/test_layers.py": ("once", READS),
    "tests/test_patterns.py": ("once", READS),
    "tests/test_sizes.py": ("once", READS),
    "tests/test_words.py": ("once", READS),
    "tests/tools": ("once", DEVELOPERS),
    # -- the core
    "tests/attack": ("builds", CORE),
    "tests/fuzz": ("builds", CORE),
    "tests/fuzz/test_driver.py": ("all", "the driver depends on both"),
    "tests/fuzz/test_live.py": ("all", "the driver depends on both"),
    "tests/nft": ("builds", CORE),
    "tests/nft/test_oracle.py": ("once", "the language is not compiled"),
    "tests/nft/test_parser.py": ("compiled", "the language is not compiled"),
    "tests/parity": ("builds", CORE),
    "tests/parity/test_networks.py": ("once", "each test runs both builds"),
    "tests/pkt/test_hostile.py": ("builds", CORE),
    "tests/pystack_c": ("builds", CORE),
    "tests/pystack_c/tcp/test_memory.py": ("all", "what is allocated depends on Python"),
    "tests/pystack_c/tcp/test_states.py": ("all", "a part of the core"),
    "tests/pystack_c/test_config.py": ("all", "values and errors pass between Python and the core"),
    "tests/pystack_c/test_udp.py": ("all", "a part of the core"),
    "tests/resolver": ("builds", CORE),
    "tests/resolver/test_resolver.py": ("all", "its programs use asyncio"),
    "tests/resolver/test_spoofing.py": ("once", SIMULATION),
    "tests/rfc": ("builds", CORE),
    # -- the simulator
    "tests/sim": ("builds", "what depends on Python's version is in the files that run everywhere"),
    "tests/sim/test_asyncio.py": ("all", "asyncio depends on the version"),
    "tests/sim/test_blocking.py": ("all", "threads and locks depend on the version"),
    "tests/sim/test_clock.py": ("all", "the clocks of Python's modules depend on the version"),
    "tests/sim/test_network.py": ("all", "the simulator's first file"),
    "tests/sim/test_patching.py": ("all", "patching depends on the version"),
    "tests/sim/test_properties.py": ("all", "programs with asyncio in many random networks"),
    "tests/sim/test_sessions.py": ("all", "programs depend on the version"),
    "tests/sim/test_sockets.py": ("all", "sockets depend on the version"),
    "tests/sim/test_whole.py": ("all", "programs depend on the version"),
    "tests/sim/labs": ("once", SIMULATION),
    "tests/sim/test_congestion_control.py": ("once", SIMULATION),
    "tests/sim/test_ecn.py": ("once", SIMULATION),
    "tests/sim/test_fairness.py": ("once", SIMULATION),
    "tests/sim/test_guide.py": ("compiled", "the page's programs are the same on both builds"),
    "tests/sim/test_homes.py": ("once", SIMULATION),
    "tests/sim/test_paths.py": ("once", SIMULATION),
    "tests/sim/test_qdisc.py": ("once", SIMULATION),
    "tests/sim/test_routing_page.py": ("once", SIMULATION),
    # -- the kernel beside the stack
    "tests/kernel": ("once", LIVE),
    "tests/kernel/test_aio.py": ("all", "asyncio depends on the version, and the driver on the build"),
    "tests/kernel/test_cmsg.py": ("compiled", "sockets depend on the version, and these are not compiled"),
    "tests/kernel/test_cmsg.py::test_igmp_as_the_kernel": ("once", LIVE),
    "tests/kernel/test_device.py": ("all", "the driver depends on both"),
    "tests/kernel/test_device_gone.py": ("all", "the driver depends on both"),
    "tests/kernel/test_nat_oracle.py": ("once", ORACLE),
    "tests/kernel/test_netns.py": ("compiled", "namespaces are not compiled"),
    "tests/kernel/test_nft_oracle.py": ("once", ORACLE),
    "tests/kernel/test_packet.py": ("compiled", "sockets depend on the version, and these are not compiled"),
    "tests/kernel/test_ping.py": ("all", "the driver depends on both"),
    "tests/kernel/test_route_oracle.py": ("once", ORACLE),
    "tests/kernel/test_route_packets.py": ("once", ORACLE),
    "tests/kernel/test_tcp.py": ("all", "the driver depends on both"),
    "tests/kernel/test_udp.py": ("all", "the driver depends on both"),
    # -- programs, commands and what else is not compiled
    "tests/cli": ("compiled", COMMAND),
    "tests/cli/test_ctl.py": ("once", LIVE),
    "tests/cli/test_link.py::test_a_delay_is_seen_and_changed_while_it_runs": ("once", LIVE),
    "tests/cli/test_main.py": ("all", "each command begins"),
    "tests/cli/test_netup.py": ("once", LIVE),
    "tests/cli/test_nft_up.py": ("once", LIVE),
    "tests/cli/test_proxy.py::test_on_the_kernel": ("once", LIVE),
    "tests/cli/test_replay.py": ("all", "the replay runs the core"),
    "tests/cli/test_up.py::test_record_then_replay": ("all", "a command that drives the core"),
    "tests/browsers": ("once", "the page does not depend on the build"),
    "tests/course": ("once", "the page does not depend on the build"),
    "tests/course/test_server.py": ("compiled", "one file that shows that it works"),
    "tests/course/test_service.py": ("all", "one file that shows that it works"),
    "tests/demo": ("once", "it waits for real programs, and `make demo` runs on its own in CI"),
    "tests/labs": ("compiled", "the labs and the grader's process do not depend on the build"),
    "tests/labs/test_asleep.py": ("once", "the servers that it watches are written in C and for Node"),
    "tests/labs/test_handout.py": ("once", "the same text becomes HTML and PDF on each Python"),
    "tests/labs/test_labs.py::test_the_control_gives_the_other_result": (
        "once",
        "a simulation as the experiment, whose values are measured on each Python",
    ),
    "tests/labs/test_labs.py::test_the_grader_refuses_a_wrong_answer_with_the_hint_that_fits": ("once", GRADED),
    "tests/labs/test_labs.py::test_the_grader_refuses_the_starter_file": ("once", GRADED),
    "tests/labs/test_looks.py": ("once", RECORDED),
    "tests/labs/test_servers.py": ("once", "the servers that it grades are written in C and for Node"),
    "tests/programs": ("compiled", "programs and what is patched are not compiled"),
    "tests/programs/test_aio.py": ("all", "asyncio depends on the version, and the driver on the build"),
    "tests/programs/test_files.py": ("all", "files of sockets depend on the version, and the driver on the build"),
    "tests/programs/test_tls.py": ("all", "TLS depends on the version, and the driver on the build"),
    "tests/programs/real/test_page.py": ("once", PAGE),
    "tests/proxies": ("compiled", "the proxies are not compiled, and their network is the same on both builds"),
    "tests/proxies/test_ending.py": ("once", "its sockets are the kernel's"),
    "tests/proxies/test_headers.py": ("once", "it uses no stack"),
    "tests/proxies/test_live.py": ("once", "its sockets are the kernel's"),
    "tests/proxies/test_live2.py": ("once", "its sockets are the kernel's"),
    "tests/proxies/test_table.py": ("once", "its sockets are the kernel's, and it waits for timeouts"),
    "tests/pytest_plugin": ("compiled", "the plugin is not compiled, and its networks are the same on both builds"),
    "tests/pytest_plugin/test_running.py": ("all", "one file that shows that it works"),
    "tests/site": ("once", "the site has its own Python, and the uncompiled core"),
    "tests/stepper/capture": ("once", "captures are read without the core"),
    "tests/stepper/capture/test_files.py": ("compiled", "captures are read without the core"),
    "tests/stepper/dissect": ("compiled", "the dissection does not use the core"),
    "tests/stepper/dissect/test_application.py::test_spoiled_bytes_do_no_harm": (
        "once",
        "the dissection does not use the core, and it tries many random bytes",
    ),
    "tests/stepper/dissect/test_messages.py": (
        "once",
        "the dissection does not use the core, and the programs that speak are no part of pystack",
    ),
    "tests/stepper/dissect/test_tshark.py": ("once", "the dissection does not use the core, and tshark is not Python"),
    "tests/stepper/test_command.py": ("compiled", COMMAND),
    "tests/stepper/test_course.py": ("once", "what the scenarios suggest is the same on both builds and Pythons"),
    "tests/stepper/test_explain.py": ("once", RECORDED),
    "tests/stepper/test_explain.py::test_each_scenarios_question_is_answered_by_its_mechanism": (
        "all",
        "one test of each scenario that shows that it works",
    ),
    "tests/stepper/test_plot.py": ("once", "the drawing does not depend on the build or on Python's version"),
    "tests/stepper/test_post.py": ("once", "dozens of long runs, which are the same on both builds and Pythons"),
    "tests/stepper/test_post.py::test_a_variant_is_a_scenario_of_its_own": (
        "compiled",
        "one test that shows that it works",
    ),
    "tests/stepper/test_store.py": ("compiled", "the packed lists do not use the core"),
    "tests/stepper/test_scenarios.py": ("compiled", "simulations, which are the same on both builds"),
    "tests/stepper/test_tls_records.py": ("once", "it uses no stack"),
    "tests/stepper/test_verify.py": ("builds", CORE),
    "tests/stepper/test_verify.py::test_scenarios": ("once", "200 random runs show the same on the uncompiled core"),
    "tests/stepper/timing": ("once", "it computes from recordings, which are the same on both builds"),
    "tests/stepper/timing/test_known.py": ("all", "one file that shows that it works"),
    "tests/stepper/tui": ("once", "the terminal's interface does not depend on the build"),
    "tests/stepper/tui/test_story.py": ("compiled", "one file that shows that it works"),
    "tests/stepper/web": ("once", "the page does not depend on the build"),
    "tests/stepper/web/test_server.py": ("compiled", "one file that shows that it works"),
    "tests/sweeps": ("compiled", "processes, files and statistics do not depend on the build"),
    "tests/trace/test_keylog.py": ("compiled", "the keys are those of Python's TLS, which depends on the version"),
    "tests/trace/test_wireshark.py": ("once", "what is written is compared elsewhere, and tshark is not Python"),
}

#: the tests that take longest -> about how many seconds. Each process begins with some of them: if one of them began last, the other
#: processes would wait for it.
LONGEST = {
    "tests/site": 150,
    "tests/cpython/test_patched.py": 110,
    "tests/tools/test_soak.py": 60,
    "tests/kernel/test_time.py": 50,
    "tests/kernel/test_cmsg.py::test_igmp_as_the_kernel": 30,
    "tests/cli/test_link.py::test_a_delay_is_seen_and_changed_while_it_runs": 30,
    "tests/parity/test_networks.py": 20,
    "tests/course/test_learner.py": 20,
    "tests/kernel/test_many_connections.py": 20,
    "tests/stepper/tui/test_panes.py": 20,
    "tests/fuzz/test_cost.py": 20,
}


@functools.cache
def _fitting(path: str) -> list[str]:
    """Return the entries of the table that can fit the tests of a file, the longest first."""
    return sorted(
        (entry for entry in SPREAD if path.startswith(entry) or entry.startswith(path)), key=len, reverse=True
    )


def mark_of(name: str) -> str | None:
    """Return the mark that the table gives to a test, by the longest beginning that fits, or None."""
    entries = _fitting(name.partition("::")[0])
    found = next((entry for entry in entries if name.startswith(entry) and name[len(entry) :][:1] in "/:["), None)
    mark = "all" if found is None else SPREAD[found][0]
    return None if mark == "all" else mark


def left_out(name: str, expression: str) -> bool:
    """Return True if pytest's `-m` expression leaves out each test of a file, so that the run need not import it.

    Only "not MARK and not MARK" is understood, which the runs of `make test` have. The answer to anything else is False.
    """
    parts = expression.split(" and ")
    if any(len(part.split()) != 2 or not part.startswith("not ") for part in parts):
        return False
    unwanted = {part.removeprefix("not ") for part in parts}
    tests = [entry for entry in SPREAD if entry.startswith(f"{name}::")]
    return {mark_of(f"{name}::"), *(mark_of(test) for test in tests)} <= unwanted


def in_order(names: list[str], processes: int) -> list[int]:
    """Return the order of the tests in which each of the processes begins with some of the longest.

    The k-th process gets the k-th part of the list, of the sizes that xdist's `worksteal` gives them. It takes them from the
    beginning, and others take from the end of what it has left.
    """
    groups: dict[str, list[int]] = {beginning: [] for beginning in LONGEST}
    others = []
    for number, name in enumerate(names):
        group = next((beginning for beginning in LONGEST if name.startswith(beginning)), None)
        (others if group is None else groups[group]).append(number)
    first: list[list[int]] = [[] for _ in range(processes)]
    seconds = [0.0] * processes
    for beginning, group in sorted(groups.items(), key=lambda item: -LONGEST[item[0]]):
        process = seconds.index(min(seconds))
        first[process] += group
        seconds[process] += LONGEST[beginning] if group else 0
    order: list[int] = []
    for process, begins in enumerate(first):
        size = (len(names) - len(order)) // (processes - process)
        more = max(0, size - len(begins))
        order += begins + others[:more]
        del others[:more]
    return order + others
