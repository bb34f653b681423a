#include "data_pipeline/example_renderer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Document Doc(const std::string& json) { return {*ParseJson(json, "document").get_if<Dict>(), 7}; }

TaskConfig Task() {
  TaskConfig task;
  task.name = "t";
  task.doc_to_text = "{{ q }}?";
  task.doc_to_target = "{{ a }}";
  task.doc_to_choice = {"bad", "good"};
  return task;
}

std::string ErrorOf(const auto& call) {
  try {
    call();
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

const ChatFormat kChat = {
    "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}",
    "", ""};

TEST(ExampleRenderer, ATextScoredAsItStandsIsTrainedOnAsItStands) {
  TaskConfig task = Task();
  task.output_type = "loglikelihood";
  task.doc_to_target = "{{ ' ' + a }}";
  task.doc_to_choice.clear();
  const ExampleRenderer renderer(task, {}, {});
  const Document document = Doc(R"({"q": "x", "a": "end"})");
  EXPECT_EQ(renderer.delimiter(), "");
  EXPECT_EQ(renderer.TrainingContinuation(document), renderer.Target(document));
  EXPECT_EQ(renderer.TrainingContinuation(document), " end");
}

TEST(ExampleRenderer, LabelWordsAndTheirOrderAreThePromptsOwn) {
  PromptConfig prompt;
  prompt.label_words = {{"good", "great"}};
  prompt.label_order = {"good", "bad"};
  prompt.doc_to_text = "{{ label_words | join('/') }}: {{ q }}?";
  const ExampleRenderer renderer(Task(), prompt, {});
  const Document document = Doc(R"({"q": "x", "a": "good"})");
  const Document shot = Doc(R"({"q": "y", "a": "bad"})");
  const Document* shots[] = {&shot};
  EXPECT_THAT(renderer.Choices(document), ElementsAre("great", "bad"));
  EXPECT_EQ(renderer.GoldIndex(document), 0);
  EXPECT_EQ(renderer.Target(document), "great");
  EXPECT_EQ(renderer.Context(document, shots), "great/bad: y? bad\n\ngreat/bad: x?");
  EXPECT_NE(renderer.fingerprint(), ExampleRenderer(Task(), {}, {}).fingerprint());
  // An index means the task's choices, whatever the order here.
  EXPECT_EQ(ExampleRenderer(Task(), prompt, {}).GoldIndex(Doc(R"({"q": "x", "a": "0"})")), 1);
  prompt.label_order = {"good"};
  EXPECT_THAT(ErrorOf([&] { ExampleRenderer(Task(), prompt, {}).Choices(document); }),
              HasSubstr("expected each of the task's choices once"));
  prompt.label_order.clear();
  prompt.label_words = {{"fine", "x"}};
  EXPECT_THAT(ErrorOf([&] { ExampleRenderer(Task(), prompt, {}).Choices(document); }),
              HasSubstr("\"fine\" is none of the task's choices"));
}

TEST(ExampleRenderer, SeveralAnswersMayBeRight) {
  TaskConfig task = Task();
  task.doc_to_target = "a";
  const ExampleRenderer choices(task, {}, {});
  EXPECT_THAT(choices.GoldIndices(Doc(R"({"q": "x", "a": [1, 0]})")), ElementsAre(1, 0));
  EXPECT_THAT(ErrorOf([&] { choices.GoldIndices(Doc(R"({"q": "x", "a": []})")); }),
              HasSubstr("empty list"));
  task.output_type = "generate_until";
  task.doc_to_choice.clear();
  const ExampleRenderer texts(task, {}, {});
  EXPECT_THAT(texts.Targets(Doc(R"({"q": "x", "a": ["Rome", 7, 2.5]})")),
              ElementsAre("Rome", "7", "2.5"));
  EXPECT_THAT(texts.Targets(Doc(R"({"q": "x", "a": "Rome"})")), ElementsAre("Rome"));
}

TEST(ExampleRenderer, EveryAnswerBeginsWithThePrefix) {
  TaskConfig task = Task();
  task.gen_prefix = "It is";
  const Document document = Doc(R"({"q": "x", "a": "good"})");
  const Document* shots[] = {&document};
  const ExampleRenderer plain(task, {}, {});
  EXPECT_EQ(plain.Context(document, shots), "x? It is good\n\nx? It is");
  EXPECT_EQ(plain.delimiter(), " ");
  PromptConfig prompt;
  prompt.apply_chat_template = true;
  EXPECT_EQ(ExampleRenderer(task, prompt, kChat).Context(document, shots),
            "[user]x?[assistant]It is good[user]x?[assistant]It is");
  EXPECT_EQ(ExampleRenderer(task, prompt, kChat).delimiter(), " ");
  prompt.fewshot_as_multiturn = false;
  EXPECT_EQ(ExampleRenderer(task, prompt, kChat).Context(document, shots),
            "[user]x? It is good\n\nx?[assistant]It is");
  task.gen_prefix.clear();
  EXPECT_EQ(ExampleRenderer(task, prompt, kChat).delimiter(), "");
}

TEST(ExampleRenderer, ContentFreePromptsKeepShotsAndChoices) {
  TaskConfig task = Task();
  task.doc_to_text = "{{ q }} of {{ options }}?";
  task.doc_to_choice = {"{{ options }}"};
  const Document document = Doc(R"({"q": "x", "a": "good", "options": ["bad", "good"]})");
  const Document* shots[] = {&document};
  const ExampleRenderer renderer(task, {}, {});
  EXPECT_EQ(renderer.ContentFreeContext(document, shots, "N/A"),
            "x of ['bad', 'good']? good\n\nN/A of ['bad', 'good']?");
  task.doc_to_text = "Which of {{ options }}?";
  EXPECT_THAT(
      ErrorOf([&] { ExampleRenderer(task, {}, {}).ContentFreeContext(document, {}, "N/A"); }),
      HasSubstr("no question to leave empty"));
}

}  // namespace
}  // namespace breakeven
