"""Prompts beside lm-evaluation-harness, live: the context, the choices and the target of a document."""
import itertools
import sys

import pytest
from template_tool import ask

POOL = [{"question": f"Is {i} odd?", "label": i % 2, "answer": ["no", "yes"][i % 2], "options": ["no", "yes"], "digit": str(i % 2),
         "listed": f"['no', 'yes', 'maybe {i}']", "text": f"Text {i}.\n"} for i in range(8)]

TASKS = [
    {"doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": ["no", "yes"], "doc_to_target": "label"},
    {"doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": ["no", "yes"], "doc_to_target": "{{label}}"},
    {"doc_to_text": "question", "doc_to_choice": "options", "doc_to_target": "label"},
    {"doc_to_text": "{{question.strip()}}", "doc_to_choice": "{{options}}", "doc_to_target": "{{ digit }}"},
    {"doc_to_text": "{{question}} ", "doc_to_choice": "{{listed}}", "doc_to_target": "{{ [1, 0][label] }}"},
    {"doc_to_text": "Q: {{question}}", "doc_to_choice": "{{[answer ~ '!', 'other']}}", "doc_to_target": "{{0}}"},
    {"doc_to_text": "{{text}}", "doc_to_choice": ["no", "yes"], "doc_to_target": "{{ answer }}"},
    {"doc_to_text": "{% if label %}odd{% else %}even{% endif %}: {{question}}", "doc_to_choice": ["no", "yes"], "doc_to_target": "label"},
]

PROMPTS = [
    {}, {"description": "Answer the questions.\n\n"}, {"description": "No newline"}, {"target_delimiter": "\n"}, {"target_delimiter": ""},
    {"fewshot_delimiter": "\n---\n"}, {"description": "Describe {{question}}. "}, {"system": "Be brief."}, {"system": "Be brief.", "description": "Answer."},
    {"system": "Be brief.\n", "description": "Answer."}, {"system": "A", "description": "\nB"},
]


def harness_task(lines, prompt, output_type):
    from lm_eval.api.task import ConfigurableTask
    import datasets
    pool = datasets.Dataset.from_list(POOL)
    config = {"task": "parity", "custom_dataset": lambda **kwargs: {"train": pool, "test": pool}, "training_split": "train", "test_split": "test", "fewshot_split": "train",
              "output_type": output_type, "fewshot_config": {"sampler": "first_n"}, **lines,
              **{key: value for key, value in prompt.items() if key in ("description", "target_delimiter", "fewshot_delimiter")}}
    return ConfigurableTask(config=config)


def our_task(lines):
    task = dict(lines)
    if isinstance(task.get("doc_to_choice"), str):
        task["doc_to_choice"] = [task["doc_to_choice"]]
    return task


@pytest.mark.parametrize("chat", [None, "multiturn", "singleturn"])
def test_contexts_of_multiple_choice(chat, request):
    tokenizer = request.getfixturevalue("tokenizer") if chat else None
    requests, wanted = [], []
    for lines, prompt in itertools.product(TASKS, PROMPTS):
        task = harness_task(lines, prompt, "multiple_choice")
        for shots, i in itertools.product((0, 2), (3, 4)):
            def template(messages, add_generation_prompt):
                return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
            context = task.fewshot_context(POOL[i], shots, system_instruction=prompt.get("system"), apply_chat_template=bool(chat), fewshot_as_multiturn=chat == "multiturn",
                                           chat_template=template if chat else None)
            pairs = [instance.args for instance in task.construct_requests(POOL[i], context, apply_chat_template=bool(chat))]
            wanted.append((lines, prompt, shots, pairs, task.doc_to_target(POOL[i])))
            requests.append({"op": "example", "task": our_task(lines), "document": POOL[i], "shots": POOL[:shots],
                             "prompt": {**prompt, "apply_chat_template": bool(chat), "fewshot_as_multiturn": chat == "multiturn"},
                             "chat": {"chat_template": tokenizer.chat_template, **tokenizer.special_tokens_map} if chat else {}})
    for case, answer in zip(wanted, ask(requests)):
        lines, prompt, shots, pairs, target = case
        assert "ok" in answer, (case, answer)
        ours = answer["ok"]
        assert [(ours["context"], ours["delimiter"] + choice) for choice in ours["choices"]] == pairs, (lines, prompt, shots)
        assert ours["gold"] == (target if isinstance(target, int) else ours["choices"].index(target))
        assert ours["target"] == ours["choices"][ours["gold"]]


def test_contexts_of_generation():
    requests, wanted = [], []
    for lines in ({"doc_to_text": "Q: {{question}}\nA:", "doc_to_target": "answer"}, {"doc_to_text": "question", "doc_to_target": "{{ answer }}."},
                  {"doc_to_text": "{{digit}}", "doc_to_target": "{{digit}}"}, {"doc_to_text": "{{question}}", "doc_to_target": "{{listed}}"}):
        for prompt, shots in itertools.product(PROMPTS, (0, 3)):
            task = harness_task(lines, prompt, "generate_until")
            wanted.append((lines, prompt, shots, task.fewshot_context(POOL[5], shots, system_instruction=prompt.get("system"))))
            requests.append({"op": "example", "task": {**lines, "output_type": "generate_until"}, "document": POOL[5], "shots": POOL[:shots], "prompt": prompt})
    for (lines, prompt, shots, context), answer in zip(wanted, ask(requests)):
        assert answer.get("ok", {}).get("context") == context, (lines, prompt, shots, context, answer)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
