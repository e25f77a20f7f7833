"""Which tests do not run in each of the three runs of `make test`, and why.

The runs are: the compiled core on .venv's Python (all tests), the uncompiled core (without `once` and `compiled`), and
the compiled core on the system's Python (without `once` and `slow`). A test that is not here, and has no such mark of
its own, runs in all of them. What the two builds do is compared frame by frame in tests/parity and by the fuzzers.
"""

#: beginning of a test's name -> its mark and the reason
SPREAD = {
    "tests/test_words.py": ("once", "it reads the source"),
    "tests/test_layers.py": ("once", "it reads the source"),
    "tests/test_sizes.py": ("once", "it reads the source"),
    "tests/test_patterns.py": ("once", "it reads the source"),
    "tests/test_families.py": ("once", "it reads the source"),
    "tests/tools/test_core_lint.py": ("once", "it reads the source"),
    "tests/tools/test_settings_docs.py": ("once", "it compares pages with the source"),
    "tests/tools/test_networks.py": ("once", "it tests a tool for developers"),
    "tests/tools/test_soak.py": ("once", "it tests a tool for developers"),
    "tests/tools/test_bench.py": ("once", "it tests a tool for developers"),
    "tests/tools/test_simulators.py": ("once", "it tests a tool for developers"),
    "tests/tools/test_connections.py": ("once", "it tests a tool for developers"),
    "tests/programs/real/test_page.py": ("once", "it compares a page with the source"),
    "tests/proxies/test_ending.py": ("once", "its sockets are the kernel's"),
    "tests/proxies/test_headers.py": ("once", "it uses no stack"),
    "tests/proxies/test_live.py": ("once", "its sockets are the kernel's"),
    "tests/proxies/test_http2.py": (
        "compiled",
        "the proxies are not compiled, and their network is the same on both builds",
    ),
    "tests/proxies/test_virtual.py": (
        "compiled",
        "the proxies are not compiled, and their network is the same on both builds",
    ),
    "tests/proxies/test_table.py": ("once", "its sockets are the kernel's, and it waits for timeouts"),
    "tests/tools/test_probe_cost.py": ("once", "it tests a tool for developers"),
    "tests/test_debugging.py": ("once", "it starts debuggers, which run both builds themselves"),
    "tests/stepper/tui": ("compiled", "the terminal's interface does not depend on the build"),
    "tests/stepper/web": ("compiled", "the page does not depend on the build"),
    "tests/stepper/capture": ("compiled", "captures are read without the core"),
    "tests/stepper/dissect": ("compiled", "the dissection does not use the core"),
    "tests/stepper/test_plot.py": ("compiled", "the drawing does not depend on the build"),
    "tests/sim/test_congestion_control.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/test_fairness.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/test_paths.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/test_qdisc.py": ("compiled", "long simulations, and queues that are not compiled"),
    "tests/kernel/test_bridge_oracle.py": ("once", "the bridge is not compiled"),
    "tests/sim/test_ecn.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/labs/test_11_congestion.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/labs/test_36_day.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/resolver/test_spoofing.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/test_guide.py": ("compiled", "the page's programs are the same on both builds"),
    "tests/sim/test_homes.py": ("compiled", "long simulations, which are the same on both builds"),
    "tests/sim/test_routing_page.py": ("compiled", "the page's programs are the same on both builds"),
    "tests/sweeps": ("compiled", "processes, files and statistics do not depend on the build"),
    "tests/cli/test_sweep.py": ("compiled", "processes, files and statistics do not depend on the build"),
    "tests/labs/test_class.py": ("compiled", "grading in processes, and files, do not depend on the build"),
    "tests/labs/test_grading.py": ("compiled", "the grader's process and its limits do not depend on the build"),
    "tests/labs/test_labs.py::test_the_grader": ("compiled", "the graders run what the experiments run on both builds"),
    "tests/labs/test_writing.py": ("compiled", "the page's lab is the same on both builds"),
    "tests/nft/test_oracle.py": ("compiled", "the language does not depend on the build"),
    "tests/nft/test_parser.py": ("compiled", "the language does not depend on the build"),
    "tests/demo": ("compiled", "the demo's words do not depend on the build"),
}

#: the tests that take longest: if one of them began last, the other processes would wait for it
LONGEST = (
    "tests/tools/test_soak.py",
    "tests/tools/test_bench.py",
    "tests/cpython/test_patched.py",
    "tests/kernel/test_cmsg.py::test_igmp_as_the_kernel",
)


def mark_of(name: str) -> str | None:
    """Return the mark that the table gives to a test, by the longest beginning that fits, or None."""
    fitting = [beginning for beginning in SPREAD if name.startswith(beginning)]
    return SPREAD[max(fitting, key=len)][0] if fitting else None
