"""A study of the real small model: the same records and verdict for 1, 2, 3 and 4 ranks, and after a kill. Long: only with
BREAKEVEN_FULL=1. Needs the built programs and models/SmolLM2-135M-Instruct."""

import json
import shutil

import pytest
from program import BUILD, ROOT, run
from tiny import TASK, documents, write_jsonl

SMOLLM2 = ROOT / "models" / "SmolLM2-135M-Instruct"

STUDY = """
model: {1}
task: task.yaml
prompts: {{variants: [{{name: plain}}, {{name: asked, doc_to_text: "What colour is {{{{ thing }}}}?\\nColour:"}}, {{name: shots, num_fewshot: 2}}]}}
training_prompt: {{name: plain, end_of_target: "<|im_end|>"}}
output: {0}/study
sizes: [6, 12]
seeds: [1]
train:
  epochs: 1
  batching: {{global_batch: {{examples: 6}}, micro_batch_tokens: 256}}
  optimizer: {{learning_rate: 5e-5}}
  schedule: {{kind: constant}}
  precision: float32
  validate: false
max_tokens: 64
timed_documents: 0
verdict: {{resamples: 500, coverage_studies: 0}}
threads: 1
"""

VERDICT = ("sentence", "details", "headline", "arms", "equal_data", "curves", "won", "lost", "confusion", "prompts", "cautions")


class Study:
    def __init__(self, folder):
        self.folder = folder
        write_jsonl(folder / "train.jsonl", documents(12))
        write_jsonl(folder / "dev.jsonl", documents(24, 100))
        write_jsonl(folder / "test.jsonl", documents(32, 200))
        (folder / "task.yaml").write_text(TASK.format(folder))
        (folder / "study.yaml").write_text(STUDY.format(folder, SMOLLM2))

    def run(self, ranks, **options):
        return run("study", self.folder / "study.yaml", "--json", ranks=ranks, timeout=1800, **options)

    def forget_scores(self):
        """The cells stay trained; everything is to be scored anew."""
        path = self.folder / "study" / "study_state.json"
        state = json.loads(path.read_text())
        state["arms"] = {}
        path.write_text(json.dumps(state))
        (self.folder / "study" / "study.json").unlink()
        shutil.rmtree(self.folder / "study" / "eval" / "parts")

    def found(self, done):
        assert done.code == 0, done.err
        report = done.json()
        records = (self.folder / "study" / "eval" / "records.jsonl").read_bytes()
        return records, {key: report[key] for key in VERDICT}


@pytest.mark.full
def test_records_and_verdict_are_the_same_for_any_number_of_ranks_and_after_a_kill(tmp_path):
    if not SMOLLM2.exists():
        pytest.skip(f"{SMOLLM2} is missing: ./launch/quickstart.sh --only data makes it")
    study = Study(tmp_path)
    records, verdict = study.found(study.run(1))
    for ranks in (2, 3, 4):
        study.forget_scores()
        again, said = study.found(study.run(ranks))
        assert again == records, f"records of {ranks} ranks differ from those of one"
        assert said == verdict, f"the verdict of {ranks} ranks differs from that of one"
    for fault in ("study.arm_done@2=kill", "study.arm_done@6=kill"):
        study.forget_scores()
        killed = study.run(2, env={"BREAKEVEN_FAULT": fault}, program=BUILD / "breakeven_faulty")
        assert killed.code != 0 and not (tmp_path / "study" / "study.json").exists(), killed.err
        again, said = study.found(study.run(3))
        assert (again, said) == (records, verdict), f"after {fault} and on three ranks the study differs"
