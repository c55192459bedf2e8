"""The command line: `pydiffgeo demo | doctor | warmup | models | init | run | calibrate | train | check | report | verify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..errors import PydiffgeoError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pydiffgeo", description="Differentiable geoscience models.")
    parser.add_argument("--version", action="version", version=f"pydiffgeo {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="learn soil hydraulic properties from moisture probes")
    demo.add_argument("--engine", default="auto", choices=("auto", "julia", "sundials"))
    demo.add_argument("--figure", default="pydiffgeo-demo.png", help="where to save the figure")
    demo.add_argument("--steps", type=int, default=50, help="training steps")
    doctor = commands.add_parser("doctor", help="show what is installed, what works, and how to mend the rest")
    doctor.add_argument(
        "--install", action="store_true", help="let juliapkg install the Julia packages, and Julia where none is found"
    )
    warmup = commands.add_parser(
        "warmup", help="compile ahead of time, and say how long a first solve and gradient take"
    )
    warmup.add_argument(
        "what", nargs="?", metavar="CONFIG|MODEL", help="a configuration, or a model; a column where left out"
    )
    warmup.add_argument(
        "--engine", choices=("auto", "julia", "sundials"), help="that of the configuration where left out"
    )
    commands.add_parser("models", help="list the ready models")
    init = commands.add_parser("init", help="write an annotated configuration of a model, to start from")
    init.add_argument("model", help="a ready model, see `pydiffgeo models`, or my_package:MyModel")
    init.add_argument("file", nargs="?", help="where to write it; to the console where left out")
    code = "let a model that is no ready one be imported, which runs the code of its package"
    init.add_argument("--calibrate", action="store_true", help="with the tables that `calibrate` and `check` need")
    init.add_argument("--train", action="store_true", help="of a network that gives the parameters of a basin model")
    init.add_argument("--run-code", action="store_true", help=code)
    warmup.add_argument("--run-code", action="store_true", help=code)
    run = commands.add_parser("run", help="solve any model as a TOML file says, and write NetCDF")
    run.add_argument("config", help="path of the configuration, as `init` writes it")
    run.add_argument("--run-code", action="store_true", help=code)
    override = "a key of the configuration and another value, such as solve.rtol=1e-6; may be repeated"
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=override)
    calibrate = commands.add_parser("calibrate", help="calibrate basins, or any model, as a TOML file says")
    of_both = "path of the configuration: of basins as examples/calibrate_basin.toml, of any model as `init --calibrate` writes it"
    calibrate.add_argument("config", help=of_both)
    calibrate.add_argument("--run-code", action="store_true", help=code)
    calibrate.add_argument("--restart", action="store_true", help="ignore a checkpoint of an earlier run")
    calibrate.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=override)
    text = "address of a Dask scheduler, or a number of worker processes, over which basins, or sites, are calibrated side by side"
    calibrate.add_argument("--scheduler", metavar="ADDRESS", help=text)
    train = commands.add_parser("train", help="train networks that give parameters of basins from their attributes")
    train.add_argument("config", help="path of the configuration, as `init --train` writes it")
    train.add_argument("--run-code", action="store_true", help=code)
    train.add_argument("--restart", action="store_true", help="ignore a checkpoint of an earlier run")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=override)
    text = "compare the gradients of a calibration with forward mode and differences"
    check = commands.add_parser("check", help=text)
    check.add_argument("config", help=of_both)
    check.add_argument("--run-code", action="store_true", help=code)
    name = "one of the configuration; the first where left out"
    check.add_argument("--basin", "--site", metavar="NAME", dest="site", help=name)
    text = "time after the warm-up that is solved: days of a basin, by default 730; all of it of other models"
    check.add_argument("--days", "--duration", type=float, metavar="TIME", dest="duration", help=text)
    text = "relative tolerances; that of the configuration and a hundredth and a ten-thousandth of it where left out"
    check.add_argument("--rtols", type=float, nargs="+", metavar="RTOL", help=text)
    check.add_argument("--json", metavar="FILE", help="write all numbers there as well")
    report = commands.add_parser("report", help="turn a result into one HTML file with figures, to be read by anyone")
    report.add_argument("result", help="NetCDF, as `calibrate` or `io.write_dataset` wrote it")
    report.add_argument("--output", metavar="FILE.html", help="where to write it; beside the result where left out")
    report.add_argument("--sites", nargs="+", default=[], metavar="NAME", help="show their series as well")
    verify = commands.add_parser("verify", help="solve published problems and exact solutions, and write a report")
    verify.add_argument("--engine", default="auto", choices=("auto", "julia", "sundials", "all"))
    verify.add_argument("--problem", nargs="+", default=[], metavar="NAME", help="only these; all where left out")
    verify.add_argument("--output", default="verification", metavar="DIR", help="where report.html and report.json go")
    verify.add_argument("--small", action="store_true", help="fewer cells and no convergence studies: a minute or so")
    verify.add_argument("--data", metavar="DIR", help="folder of measured data, for the problem that needs them")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0 done, 1 failed or found wrong, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        # Imported here so that --help and errors of one command do not wait for another's imports.
        if options.command == "demo":
            from .demo import run

            run(engine=options.engine, figure=options.figure, steps=options.steps)
        elif options.command == "doctor":
            from .doctor import examine

            return examine(install=options.install)
        elif options.command == "warmup":
            from .warmup import warm_up

            warm_up(options.what, engine=options.engine, code=options.run_code)
        elif options.command in ("models", "init"):
            from .ready_models import list_models, write_template

            if options.command == "models":
                print(list_models())
            else:
                what = "train" if options.train else "calibrate" if options.calibrate else "run"
                write_template(options.model, options.file, code=options.run_code, action=what)
        elif options.command == "run":
            from ..simulation import run_file

            print(f"wrote {run_file(options.config, overrides=options.overrides, code=options.run_code)}")
        elif options.command == "train":
            from ..hydrology import train_file

            resume, given = not options.restart, options.overrides
            print(f"wrote {train_file(options.config, resume=resume, overrides=given, code=options.run_code)}")
        elif options.command == "check":
            return _check(options)
        elif options.command == "report":
            from ..report import write_report

            print(f"wrote {write_report(options.result, options.output, sites=options.sites)}")
        elif options.command == "verify":
            from ..verification.suite import verify

            return verify(options.engine, options.problem, options.output, small=options.small, data=options.data)
        else:
            print(f"wrote {_calibrate(options)}")
    except PydiffgeoError as error:
        print(f"pydiffgeo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"\npydiffgeo: interrupted {interrupt}".rstrip(), file=sys.stderr)
        return 130
    return 0


def _calibrate(options: argparse.Namespace) -> Path:
    from ..simulation.site_files import is_of_any_model

    at, resume = options.scheduler, not options.restart
    scheduler = int(at) if at is not None and at.isdigit() else at
    if is_of_any_model(options.config, options.overrides):
        from ..simulation.calibrating import calibrate_model

        return calibrate_model(
            options.config, resume=resume, overrides=options.overrides, code=options.run_code, scheduler=scheduler
        )
    from ..hydrology import calibrate_file

    return calibrate_file(
        options.config, resume=resume, overrides=options.overrides, code=options.run_code, scheduler=scheduler
    )


def _check(options: argparse.Namespace) -> int:
    """Prints whether the gradients of a configuration agree; returns the exit status."""
    from ..simulation.site_files import is_of_any_model

    asked, rtols, output = options.config, options.rtols, options.json
    if is_of_any_model(asked):
        from ..simulation.calibrating import check_model

        checked = check_model(
            asked, site=options.site, duration=options.duration, rtols=rtols, output=output, code=options.run_code
        )
    else:
        from ..hydrology import check_file

        days = 730 if options.duration is None else options.duration
        checked = check_file(
            asked,
            basin=options.site,
            days=int(days) if days == int(days) else days,
            rtols=rtols,
            output=output,
            code=options.run_code,
        )
    print(checked)
    return 0 if checked.ok else 1
