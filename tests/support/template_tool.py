"""template_tool for the parity tests: what our templates give, and the comparison with what Python gives.

Every answer must be equal to the character; where Python raises, ours must be an error too.
"""
import json
import subprocess

from program import BUILD

TOOL = BUILD / "tests" / "template_tool"


def ask(requests):
    """One process for many requests; the answers in order."""
    assert TOOL.exists(), f"{TOOL} is missing: build the target template_tool (BREAKEVEN_BUILD={BUILD})"
    text = "".join(json.dumps(request, ensure_ascii=False) + "\n" for request in requests)
    done = subprocess.run([TOOL], input=text.encode(), stdout=subprocess.PIPE, timeout=120, check=True)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    assert len(answers) == len(requests)
    return answers


def compare(cases, expected_of, request_of):
    """Each case rendered by both sides; all differences at once."""
    answers = ask([request_of(case) for case in cases])
    differences = []
    for case, answer in zip(cases, answers):
        try:
            expected = expected_of(case)
        except Exception as error:  # noqa: BLE001: whatever Python raises, ours must be an error as well
            if "error" not in answer:
                differences.append(f"{case!r}: Python raises {error!r}, ours gives {answer['ok']!r}")
            continue
        if answer.get("ok") != expected:
            differences.append(f"{case!r}: Python gives {expected!r}, ours {answer!r}")
    assert not differences, f"{len(differences)} of {len(cases)} differ:\n" + "\n".join(differences[:40])
