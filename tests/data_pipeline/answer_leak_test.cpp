// Pure.
#include "data_pipeline/answer_leak.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "comm/base/random.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kTopics[] = {"python", "games", "java", "science"};

class AnswerLeakTest : public testing::Test {
 protected:
  AnswerLeakTest() {
    task_.name = "topics";
    task_.output_type = "multiple_choice";
    task_.doc_to_text = "Text: {{ text }}\nTopic:";
    task_.doc_to_target = "{{ topic }}";
    task_.doc_to_choice = {"python", "games", "java", "science"};
    prompt_.name = "plain";
  }

  static size_t TopicOf(size_t number) { return RandomBits(7, 0, number) % 4; }
  static std::string Word(size_t number, uint64_t stream) {
    return "w" + std::to_string(RandomBits(7, stream, number) % 1000);
  }

  // Documents with `fill`'s fields; `text` says nothing about the topic.
  void Documents(size_t count, const std::function<void(size_t, Dict&)>& fill = {}) {
    documents_.clear();
    for (size_t i = 0; i < count; ++i) {
      Document document;
      document.line = i + 1;
      document.fields.Set("text", Word(i, 1) + " " + Word(i, 2));
      document.fields.Set("topic", kTopics[TopicOf(i)]);
      document.fields.Set("label", static_cast<int64_t>(TopicOf(i)));
      document.fields.Set("key", std::string(1, static_cast<char>('A' + TopicOf(i))));
      if (fill) fill(i, document.fields);
      documents_.push_back(document);
    }
  }

  std::string Found() {
    const auto leak = FindAnswerLeak(task_, prompt_, {}, documents_);
    return leak.has_value() ? DescribeAnswerLeak(*leak, prompt_, "test.jsonl") : "none";
  }

  TaskConfig task_;
  PromptConfig prompt_;
  std::vector<Document> documents_;
};

TEST_F(AnswerLeakTest, AnHonestPromptHasNone) {
  Documents(40);
  EXPECT_EQ(Found(), "none");
  documents_.resize(1);
  EXPECT_EQ(Found(), "none");
  documents_.clear();
  EXPECT_EQ(Found(), "none");
}

TEST_F(AnswerLeakTest, ATemplateThatPrintsTheAnswerIsFoundWithItsExample) {
  Documents(40);
  prompt_.doc_to_text = "{{ text }} ({{ topic }})\nTopic:";
  const std::string found = Found();
  EXPECT_THAT(found, AllOf(HasSubstr("test.jsonl: prompt 'plain' shows the answer"),
                           HasSubstr("40 of 40 documents"), HasSubstr("the field 'topic'"),
                           HasSubstr("Line 1, whose answer is '"), HasSubstr(")\nTopic:")));
}

TEST_F(AnswerLeakTest, AlsoInOtherWords) {
  Documents(40);
  for (const char* hint :
       {"{{ text }} {{ topic | upper }}", "{{ text }} It begins with {{ topic[0] }}.",
        "{{ text }} {% if topic == 'java' %}coffee{% endif %}"}) {
    prompt_.doc_to_text = hint;
    EXPECT_THAT(Found(), HasSubstr("the field 'topic', which is the answer")) << hint;
  }
  // The answer as a number or as a letter.
  prompt_.doc_to_target = "{{ label }}";
  prompt_.doc_to_text = "{{ text }} {{ label }} is it";
  EXPECT_THAT(Found(), HasSubstr("the field 'label'"));
  prompt_.doc_to_target = "{{ ['A', 'B', 'C', 'D'].index(key) }}";
  prompt_.doc_to_text = "{{ text }} {{ key }}";
  EXPECT_THAT(Found(), HasSubstr("the field 'key'"));
}

TEST_F(AnswerLeakTest, ADescriptionCanShowItToo) {
  Documents(40);
  prompt_.description = "About {{ topic }}.\n";
  EXPECT_THAT(Found(), HasSubstr("the field 'topic'"));
}

TEST_F(AnswerLeakTest, ChoicesThatAreListedAreNone) {
  Documents(40, [](size_t i, Dict& fields) {
    List choices;
    for (size_t c = 0; c < 4; ++c) choices.emplace_back(Word(i, 10 + c));
    fields.Set("choices", std::move(choices));
  });
  prompt_.doc_to_text = "Which of python, games, java and science is {{ text }} about?";
  EXPECT_EQ(Found(), "none");
  prompt_.doc_to_text = "{{ text }}\n{% for c in choices %}- {{ c }}\n{% endfor %}Which?";
  prompt_.doc_to_choice = {"{{ choices }}"};
  for (const char* target : {"{{ label }}", "{{ choices[label] }}"}) {
    prompt_.doc_to_target = target;
    prompt_.doc_to_text = "{{ text }}\n{% for c in choices %}- {{ c }}\n{% endfor %}Which?";
    EXPECT_EQ(Found(), "none") << target;
    prompt_.doc_to_text += " {{ choices[label] }}?";
    EXPECT_THAT(Found(), HasSubstr("the field 'label'")) << target;
  }
}

// The passage names the answer, and none of the other choices: what the question is about.
TEST_F(AnswerLeakTest, AnAnswerInAPassageIsNone) {
  const auto passage = [](size_t i, Dict& fields) {
    std::string text;
    const size_t place = RandomBits(7, 3, i) % 20;
    for (size_t w = 0; w < 20; ++w) {
      text += w == place ? std::string(kTopics[TopicOf(i)]) + " " : Word(i, 20 + w) + " ";
    }
    fields.Set("text", text);
  };
  Documents(60, passage);
  EXPECT_EQ(Found(), "none");
  task_.output_type = "generate_until";
  task_.doc_to_choice.clear();
  EXPECT_EQ(Found(), "none");
  prompt_.doc_to_text = "{{ text }} Answer: {{ topic }}";
  EXPECT_THAT(Found(), HasSubstr("the field 'topic'"));
}

// The topic's word often stands in a text about it, without being given away.
TEST_F(AnswerLeakTest, AWordThatGoesWithAnAnswerIsNone) {
  Documents(100, [](size_t i, Dict& fields) {
    if (i % 2 == 0)
      fields.Set("text", "a library for " + std::string(kTopics[TopicOf(i)]) + " users");
  });
  EXPECT_EQ(Found(), "none");
}

TEST_F(AnswerLeakTest, DataThatNameTheAnswerAtOnePlaceAreFound) {
  Documents(40, [](size_t i, Dict& fields) {
    fields.Set("text", Word(i, 1) + " " + Word(i, 2) + ", label: " + kTopics[TopicOf(i)]);
  });
  EXPECT_THAT(Found(),
              AllOf(HasSubstr("40 of 40"), HasSubstr("the right choice stands at the same")));
  // Where nearly all answers are one and the prompt names it in every question, that is no news.
  Documents(40, [](size_t i, Dict& fields) {
    fields.Set("topic", i % 13 == 0 ? "java" : "games");
    fields.Set("text", "are they games? " + Word(i, 1));
  });
  EXPECT_EQ(Found(), "none");
}

// Target and question are made of the same field; changing it says nothing.
TEST_F(AnswerLeakTest, AFieldThatHoldsQuestionAndAnswerIsNone) {
  Documents(60, [](size_t i, Dict& fields) {
    fields.Set("text", Word(i, 1) + " " + Word(i, 2) + " " + Word(i, 3));
    fields.Set("a", static_cast<int64_t>(RandomBits(7, 4, i) % 90));
    fields.Set("b", static_cast<int64_t>(RandomBits(7, 5, i) % 90));
  });
  task_.output_type = "generate_until";
  task_.doc_to_choice.clear();
  task_.doc_to_text = "{{ text.split(' ')[:-1] | join(' ') }}";
  task_.doc_to_target = "{{ text.split(' ')[-1] }}";
  EXPECT_EQ(Found(), "none");
  task_.doc_to_text = "{{ text }}";
  EXPECT_THAT(Found(),
              AllOf(HasSubstr("'text', of which the answer is made"), HasSubstr("60 of 60")));
  task_.doc_to_text = "{{ a }} + {{ b }} =";
  task_.doc_to_target = "{{ a + b }}";
  EXPECT_EQ(Found(), "none");
  task_.doc_to_text = "{{ a }} + {{ b }} = {{ a + b }}, so";
  EXPECT_THAT(Found(), HasSubstr("'a', 'b', of which"));
}

TEST_F(AnswerLeakTest, RollingTextsHaveNoPrompt) {
  Documents(20);
  task_.output_type = "loglikelihood_rolling";
  task_.doc_to_choice.clear();
  task_.doc_to_text = "";
  task_.doc_to_target = "{{ text }}";
  EXPECT_EQ(Found(), "none");
}

}  // namespace
}  // namespace breakeven
