// Constructs one by one; tests/parity/test_template.py holds thousands of cases beside Python's jinja2.
#include "data_pipeline/template/template.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/data_pipeline/template/render_fixture.h"

namespace breakeven {
namespace {

TEST(Template, PrintsFieldsAsPythonWould) {
  constexpr char kFields[] =
      R"({"s": "한", "i": 7, "f": 1.0, "t": true, "n": null, "l": [1, "a'b", null], "d": {"k": 1e16}})";
  EXPECT_EQ(Render("{{ s }}|{{ i }}|{{ f }}|{{ t }}|{{ n }}", kFields), "한|7|1.0|True|None");
  EXPECT_EQ(Render("{{ l }}|{{ d }}", kFields), "[1, \"a'b\", None]|{'k': 1e+16}");
  EXPECT_EQ(Render("{{ d.k }}{{ d['k'] }}{{ l.1 }}{{ s|length }}{{ s[0] }}", kFields),
            "1e+161e+16a'b1한");
}

TEST(Template, Arithmetic) {
  EXPECT_EQ(
      Render("{{ 1 + 2 * 3 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }}"),
      "7 3.5 -4 2 1024 0.5");
  EXPECT_EQ(Render("{{ 'a' * 3 }} {{ 'a' ~ 1 ~ none }} {{ [1] + [2] }}"), "aaa a1None [1, 2]");
  EXPECT_EQ(Render("{{ 1 < 2 < 3 }} {{ 1 in [1] }} {{ 'b' not in 'abc' }} {{ 1 == 1.0 }}"),
            "True True False True");
  EXPECT_EQ(Render("{{ '' or 'x' }} {{ 0 and 1 }} {{ not 0 }} {{ 'a' if 0 else 'b' }}"),
            "x 0 True b");
}

TEST(Template, Statements) {
  EXPECT_EQ(Render("{% if x > 1 %}a{% elif x %}b{% else %}c{% endif %}", R"({"x": 1})"), "b");
  EXPECT_EQ(Render("{% for x in [1, 2] %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif "
                   "%}{% else %}e{% endfor %}"),
            "11,22");
  EXPECT_EQ(
      Render("{% for k, v in d.items() if v %}{{ k }}{% endfor %}", R"({"d": {"a": 0, "b": 1}})"),
      "b");
  EXPECT_EQ(Render("{% set ns = namespace(n=0) %}{% for x in [1, 2] %}{% set ns.n = ns.n + x %}{% "
                   "endfor %}{{ ns.n }}"),
            "3");
  EXPECT_EQ(Render("{% set x %}a{% endset %}{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ x "
                   "}}{{ m(1) }}"),
            "a12");
  EXPECT_EQ(Render("{% raw %}{{ x }}{% endraw %}{# c #}!"), "{{ x }}!");
  EXPECT_EQ(
      Render("{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}"),
      "13");
}

TEST(Template, WhiteSpaceControl) {
  EXPECT_EQ(Render("a \n {%- if true -%} \n b \n {%- endif +%}\n c"), "ab\n c");
  TemplateOptions options;
  EXPECT_EQ(Render("a\n"), "a\n");
  options.keep_trailing_newline = false;
  EXPECT_EQ(Render("a\n\n", "{}", options), "a\n");
  options.trim_blocks = true;
  options.lstrip_blocks = true;
  EXPECT_EQ(Render("a\n  {% if true %}\nb\n  {% endif %}\n  {{ 1 }}\n", "{}", options),
            "a\nb\n  1");
  EXPECT_EQ(Render("  {%+ if true %}b{% endif %}", "{}", options), "  b");
}

TEST(Template, SyntaxErrorsNameLineAndColumn) {
  EXPECT_EQ(ErrorOf("한글 {{ x|trimm }}"),
            "64: t: line 1, column 9: unknown filter 'trimm'; did you mean 'trim'?");
  EXPECT_EQ(ErrorOf("a\n b {{ x is defned }}"),
            "64: t: line 2, column 12: unknown test 'defned'; did you mean 'defined'?");
  EXPECT_EQ(ErrorOf("\n\n{% fro x in y %}"),
            "64: t: line 3, column 4: unknown tag 'fro'; did you mean 'for'?");
  EXPECT_EQ(ErrorOf("{{ x.stripp() }}"),
            "64: t: line 1, column 6: unknown method 'stripp'; did you mean 'strip'?");
  EXPECT_EQ(ErrorOf("{% include 'x' %}"),
            "64: t: line 1, column 4: the tag 'include' is not supported");
  EXPECT_EQ(ErrorOf("{{ x|urlize }}"),
            "64: t: line 1, column 6: the filter 'urlize' is not supported");
  EXPECT_EQ(ErrorOf("{% if x %}\na"),
            "64: t: line 1, column 4: 'if' is never closed; expected {% elif %} or {% else %} or "
            "{% endif %}");
  EXPECT_EQ(ErrorOf("{{ (1 }}"), "64: t: line 1, column 7: unexpected '}', expected ')'");
  EXPECT_EQ(ErrorOf("x {{ 'abc"),
            "64: t: line 1, column 6: the string that begins here is never closed");
  EXPECT_EQ(ErrorOf("{% break %}"), "64: t: line 1, column 4: 'break' stands outside of a loop");
  EXPECT_EQ(ErrorOf("a\xff"), "64: t: invalid UTF-8 at byte 1");
}

TEST(Template, RenderErrorsNameLineAndColumn) {
  constexpr char kFields[] = R"({"question": "q", "d": {"name": 1}, "l": [1]})";
  EXPECT_EQ(ErrorOf("a\n{{ qestion }}", kFields),
            "65: t: line 2, column 4: 'qestion' is undefined; the fields are: question, d, l; did "
            "you mean 'question'?");
  EXPECT_EQ(ErrorOf("{{ d.nam }}", kFields),
            "65: t: line 1, column 6: the dict has no 'nam'; it has: name; did you mean 'name'?");
  EXPECT_EQ(ErrorOf("{{ l[3] }}", kFields), "65: t: line 1, column 5: the list has no item 3");
  EXPECT_EQ(ErrorOf("{{ question + 1 }}", kFields),
            "65: t: line 1, column 13: '+' cannot join str and int; use ~, or |string");
  EXPECT_EQ(ErrorOf("{{ 1 / 0 }}"), "65: t: line 1, column 6: division by zero");
  EXPECT_EQ(ErrorOf("{{ 9223372036854775807 + 1 }}"),
            "65: t: line 1, column 24: an integer grows beyond 64 bits");
  EXPECT_EQ(ErrorOf("{{ d.items }}", kFields),
            "65: t: line 1, column 6: 'items' is a function, not a text; call it: items(…)");
  EXPECT_EQ(ErrorOf("{{ raise_exception('no system') }}", "{}", ChatTemplateOptions()),
            "65: t: line 1, column 19: the template refuses: no system");
}

TEST(Template, StrictAndLenientUndefined) {
  TemplateOptions lenient;
  lenient.strict_undefined = false;
  EXPECT_EQ(Render("[{{ x }}{% if x %}a{% endif %}{{ x is defined }}{{ x|default('d') }}]", "{}",
                   lenient),
            "[Falsed]");
  EXPECT_EQ(Render("{{ x is defined }}{{ x|default('d') }}"), "Falsed");
  EXPECT_EQ(ErrorOf("{% if x %}a{% endif %}").substr(0, 24), "65: t: line 1, column 7:");
}

TEST(Template, NothingIsEndless) {
  EXPECT_NE(
      ErrorOf("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").find("calls itself without end"),
      std::string::npos);
  EXPECT_NE(ErrorOf("{{ 'x' * 10000000000 }}").find("at most"), std::string::npos);
  EXPECT_NE(ErrorOf("{{ range(100000000)|list }}").find("at most"), std::string::npos);
  EXPECT_NE(
      ErrorOf("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}")
          .find("more than"),
      std::string::npos);
  EXPECT_NE(ErrorOf("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s + "
                    "ns.s %}{% endfor %}")
                .find("at most"),
            std::string::npos);
  for (const char* ring :
       {"{% set l = [] %}{{ l.append(l) }}", "{% set l = [] %}{{ l.append({'a': [l]}) }}",
        "{% set l = [] %}{{ l.extend([[l]]) }}", "{% set d = {} %}{{ d.update(a=[d]) }}",
        "{% set d = {} %}{{ d.setdefault('a', d.items()) }}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}"}) {
    EXPECT_NE(ErrorOf(ring).find("cannot hold itself"), std::string::npos) << ring;
  }
  EXPECT_NE(ErrorOf("{{ '%999999999d' % 1 }}").find("too large"), std::string::npos);
  const std::string nested = std::string(5000, '(') + "1" + std::string(5000, ')');
  EXPECT_NE(ErrorOf("{{ " + nested + " }}").find("nested too deeply"), std::string::npos);
  std::string chain = "{{ 1";
  for (int i = 0; i < 5000; ++i) chain += " + 1";
  EXPECT_NE(ErrorOf(chain + " }}").find("chain is too long"), std::string::npos);
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  EXPECT_NE(ErrorOf(blocks).find("nested too deeply"), std::string::npos);
}

TEST(Template, DeepButLegalRunsInASmallStack) {
  std::string source =
      "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% else %}end{% endif %}{% endmacro %}{{ m(200) }}";
  std::string text;
  std::thread([&] { text = Render(source); }).join();
  EXPECT_EQ(text, "end");
}

TEST(Template, ChatTemplates) {
  constexpr char kSource[] =
      "{% for m in messages %}\n<{{ m['role'] }}>{{ m.content | trim }}\n{% endfor %}\n{% if tools "
      "%}T{% endif %}\n";
  constexpr char kMessages[] =
      R"({"messages": [{"role": "user", "content": " Hi "}], "tools": null})";
  EXPECT_EQ(Render(kSource, kMessages, ChatTemplateOptions()), "<user>Hi\n");
  EXPECT_EQ(Render("{% generation %}a{% endgeneration %}{{ d | tojson }}",
                   R"({"d": {"b": "<é>", "a": 1}})", ChatTemplateOptions()),
            "a{\"b\": \"<é>\", \"a\": 1}");
  EXPECT_EQ(Render("{{ d | tojson }}", R"({"d": {"b": "<é>", "a": 1}})"),
            "{\"a\": 1, \"b\": \"\\u003c\\u00e9\\u003e\"}");
  EXPECT_NE(ErrorOf("{{ messages.append(1) }}", kMessages, ChatTemplateOptions())
                .find("chat templates may not"),
            std::string::npos);
}

TEST(Template, TellsTheNamesItNeeds) {
  const auto names = [](const char* source) { return Template(source, "t").FreeNames(); };
  EXPECT_EQ(
      names("{{ b }}{{ a.x }}{% for q in l %}{{ q }}{{ loop.index }}{{ range(3) }}{% endfor %}"),
      (std::vector<std::string>{"a", "b", "l"}));
  EXPECT_EQ(names("{% set x = y %}{{ x }}{% macro m(p) %}{{ p }}{{ z }}{% endmacro %}{{ m(w) }}"),
            (std::vector<std::string>{"w", "y", "z"}));
  EXPECT_EQ(names("{% if a %}{% set x = 1 %}{% endif %}{{ x }}"),
            (std::vector<std::string>{"a", "x"}));
  EXPECT_EQ(names("{% if a %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}{{ x2 }}{% "
                  "set x2 = 1 %}"),
            (std::vector<std::string>{"a", "x2"}));
}

TEST(Template, RendersFromManyThreads) {
  const Template shared("{% for x in l %}{{ x * 2 }} {% endfor %}", "t");
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 50; ++k)
        texts[i] = shared.Render(Variables("{\"l\": [1, " + std::to_string(i) + "]}"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], "2 " + std::to_string(2 * i) + " ");
}

// Under the leak sanitizer: each of these makes a ring, and the last ends in an error.
TEST(Template, RingsOfObjectsAreFreed) {
  constexpr char kFields[] = R"({"l": [], "d": {}})";
  for (const char* source : {
           "{% set n = namespace() %}{% set n.x = n.y %}",
           "{% set n = namespace(l=[]) %}{% set n.f = n.l.append %}{% set _ = n.l.append(n.f) %}",
           "{% set _ = l.extend([l.append]) %}",
           "{% set _ = l.insert(0, l.append) %}",
           "{% set _ = d.setdefault('k', d.get) %}",
           "{% set _ = d.update({'k': d.get}) %}",
           "{% set _ = d.update(k=d.get) %}",
           "{% for i in [1] %}{% set _ = loop.changed(loop) %}{% endfor %}",
       }) {
    EXPECT_EQ(Render(source, kFields), "") << source;
  }
  EXPECT_NE(ErrorOf("{% set n = namespace() %}{% set n.x = n.y %}{{ 1 // 0 }}").find("zero"),
            std::string::npos);
}

// They are freed one inside the other.
TEST(Template, MethodsOfMethodsNestNoDeeperThanLists) {
  constexpr char kSource[] =
      "{% set n = namespace(f=0) %}{% for i in range(100000) %}{% set n.f = [n.f].append %}"
      "{% endfor %}";
  EXPECT_NE(ErrorOf(kSource).find("nested too deeply"), std::string::npos) << ErrorOf(kSource);
}

}  // namespace
}  // namespace breakeven
