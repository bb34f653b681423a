import pytest
from program import ROOT

pytest.register_assert_rewrite("harness_eval")  # its comparisons show both sides, as those of a test


@pytest.fixture(scope="module")
def tokenizer():
    """transformers' tokenizer of SmolLM2."""
    folder = ROOT / "models" / "SmolLM2-135M-Instruct"
    if not folder.exists():
        pytest.skip(f"{folder} is missing: launch/quickstart.sh makes it")
    from transformers import AutoTokenizer
    return AutoTokenizer.from_pretrained(folder)
