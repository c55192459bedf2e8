"""The report of the verification suite escapes what it shows."""

from __future__ import annotations

import html.parser

from pydiffgeo.verification.outcome import Result
from pydiffgeo.verification.pages import write_report
from pydiffgeo.verification.problem import Outcome, Problem, Quantity, check


def test_reports_escape_what_they_show(tmp_path):
    bad = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>"
    problem = Problem(bad, bad, bad, (Quantity(bad, bad, bad),), bad, bad, bad, run=lambda bench: outcome)
    outcome = Outcome((check(bad, bad, [bad], [1.0], [1.0], 1e-3, bad),), None)
    results = [
        Result(problem, bad, 1.0, outcome),
        Result(problem, bad, 1.0, skipped=bad),
        Result(problem, bad, 1.0, failure=bad),
    ]

    class Parser(html.parser.HTMLParser):
        tags: set[str] = set()
        attributes: set[str] = set()

        def handle_starttag(self, tag, attrs):
            self.tags.add(tag)
            self.attributes |= {name for name, _ in attrs}

    parser = Parser()
    parser.feed(write_report(results, tmp_path, small=True).read_text())
    assert "table" in parser.tags
    assert not parser.tags & {"script", "img"}
    assert parser.attributes <= {"class", "href", "id", "lang", "charset", "name", "content", "http-equiv", "data-of"}
