"""The analysis of a study's runs: reading them from MLflow, verdicts, edges, the scaling law, the report."""

import sys

from analysis.parser import module_of, report_parser

if sys.argv[:1] == ["-m"]:  # `python -m analysis.report` is importing modules: --help and refusals need none of them
    _module, _arguments = module_of(sys.orig_argv)
    if _module == "analysis.report":
        report_parser(f"python -m {_module}").parse_args(_arguments)
