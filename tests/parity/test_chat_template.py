"""Chat templates beside transformers' apply_chat_template, live; SmolLM2's own where models/SmolLM2-135M-Instruct is."""
import random
import sys

import pytest
from template_tool import ask, compare

# Written for this test in the manner of well-known families: headers for each role, turns with tools, alternation checks.
HEADER_STYLE = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "01 Jan 2030" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system turn comes out first, whatever stands before. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|head|>system<|tail|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: calls\\n" }}
{%- endif %}
{{- "Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|end|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|tail|>\\n\\n'+ message['content'] | trim + '<|end|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|head|>assistant<|tail|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|end|>" }}
    {%- else %}
        {{- "<|head|>result<|tail|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|end|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|tail|>\\n\\n' }}
{%- endif %}
"""

TURN_STYLE = """{%- if tools %}
    {{- '<turn>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- else %}
        {{- 'You help.' }}
    {%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><end>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<turn>system\\n' + messages[0].content + '<end>\\n' }}
    {%- else %}
        {{- '<turn>system\\nYou help.<end>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and not(message.content.startswith('<r>') and message.content.endswith('</r>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<turn>' + message.role + '\\n' + message.content + '<end>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- generation %}
        {{- '<turn>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<call>\\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
            {{- tool_call.arguments if tool_call.arguments is string else tool_call.arguments|tojson(indent=2) }}
            {{- '}\\n</call>' }}
        {%- endfor %}
        {{- '<end>\\n' }}
        {%- endgeneration %}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<turn>user' }}
        {%- endif %}
        {{- '\\n<r>\\n' }}
        {{- message.content }}
        {{- '\\n</r>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<end>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<turn>assistant\\n' }}
{%- endif %}
"""

INSTRUCTION_STYLE = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Users and assistants take turns. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("user and assistant must take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[I] " + system_message + "\\n\\n" + message["content"] + "[/I]" }}
        {%- else %}
            {{- "[I] " + message["content"] + "[/I]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {%- if message.content is defined %}
            {{- " " + message["content"]|trim + eos_token}}
        {%- endif %}
    {%- else %}
        {{- raise_exception("Only user and assistant roles, not " ~ message.role) }}
    {%- endif %}
{%- endfor %}
"""

FILTERED_STYLE = """
{% macro say(role, text, last=false) %}
  <{{ role }}{% if last %} last{% endif %}>
  {{ text | trim }}
{% endmacro %}
{% for message in messages if message.role != 'system' %}
  {% if message.content is none %}
    {% continue %}
  {% endif %}
  {% if loop.index > 5 %}
    {% break %}
  {% endif %}
{{ say(message.role | capitalize, message.content, last=loop.last) }}
    {% if message.content is string and message.content | length > 10 %}
{{ message.content[:5] ~ '…' ~ message.content[-5:] }}
    {% endif %}
{% else %}
nobody speaks
{% endfor %}
{{ dict(n=messages | length, roles=messages | map(attribute='role') | unique | list) | tojson }}
{{ eos_token }}
"""


def conversations():
    system = {"role": "system", "content": " You know things.\n"}
    texts = ["Hi", " What is 1 < 2 & 'x'?\n", "한국어 \U0001F600 e\u0301", "", "line\nline\n", "<r>x</r>", "{{ not }} {% a %} template", "a longer text with words"]
    rng = random.Random(5)
    result = []
    for length in range(1, 7):
        for with_system in (False, True):
            turns = [{"role": ("user", "assistant")[i % 2], "content": rng.choice(texts)} for i in range(length)]
            result.append(([system] if with_system else []) + turns)
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"b": 1, "a": ["é", None, 1.5]}}}]}
    result.append([{"role": "user", "content": "go"}, call, {"role": "tool", "content": "42"}, {"role": "tool", "content": "43"}, {"role": "assistant", "content": "It is 42."}])
    result.append([{"role": "user", "content": "go"}, call, {"role": "tool", "content": {"x": [1, "ü"]}}])
    result.append([{"role": "assistant", "content": "first"}, {"role": "user", "content": "then"}])
    result.append([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    result.append([{"role": "user", "content": None}])
    result.append([{"role": "other", "content": "x"}])
    result.append([{"role": "user"}])
    return result


@pytest.mark.parametrize("source", [HEADER_STYLE, TURN_STYLE, INSTRUCTION_STYLE, FILTERED_STYLE])
def test_chat_templates(source):
    from transformers.utils.chat_template_utils import render_jinja_template
    tools = [{"type": "function", "function": {"name": "f", "description": "It's <b> & \"q\"", "parameters": {"type": "object"}}}]
    cases = [(messages, generate, given) for messages in conversations() for generate in (False, True) for given in (None, tools)]

    def variables(case):
        messages, generate, given = case
        return {"messages": messages, "tools": given, "documents": None, "add_generation_prompt": generate, "bos_token": "<s>", "eos_token": "</s>"}

    def expected(case):
        given = variables(case)
        (text,), _ = render_jinja_template(conversations=[given.pop("messages")], chat_template=source, **given)
        return text

    def request(case):
        return {"op": "chat", "source": source, "variables": variables(case)}

    compare(cases, expected, request)
    assert any("ok" in answer for answer in ask([request(case) for case in cases]))


def test_chat_sandbox_refuses_what_transformers_refuses():
    for source in ("{{ messages.append(1) }}", "{{ messages.pop() }}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ range(1000000) }}", "{{ raise_exception('no') }}"):
        (answer,) = ask([{"op": "chat", "source": source, "variables": {"messages": [1]}}])
        assert "error" in answer, (source, answer)


def test_smollm2_chat_template(tokenizer):
    cases = [(messages, generate) for messages in conversations() for generate in (False, True)]

    def expected(case):
        return tokenizer.apply_chat_template(case[0], tokenize=False, add_generation_prompt=case[1])

    def request(case):
        return {"op": "chat", "source": tokenizer.chat_template,
                "variables": {"messages": case[0], "add_generation_prompt": case[1], **tokenizer.special_tokens_map}}

    compare(cases, expected, request)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q"]))
