// Pure.
#include "trainer/prompt_eval/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_tokenizer.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RequestsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const TempFolder folder;
    WriteTinyTokenizer(folder.path());
    tokenizer_ = Tokenizer::Load(folder.path());
  }
  static void TearDownTestSuite() { tokenizer_.reset(); }

  RequestsTest() {
    task_.name = "t";
    task_.doc_to_text = "{{ q }}";
    task_.doc_to_target = "{{ a }}";
    task_.doc_to_choice = {"{{ x }}", "{{ y }}"};
    options_.max_length = 64;
  }

  static Document Doc(const std::string& q, const std::string& a, const std::string& x,
                      const std::string& y, uint64_t line = 7) {
    Document document;
    document.fields.Set("q", Value(q));
    document.fields.Set("a", Value(a));
    document.fields.Set("x", Value(x));
    document.fields.Set("y", Value(y));
    document.line = line;
    return document;
  }

  DocumentRequests Build(const Document& document) const {
    const ExampleRenderer renderer(task_, PromptConfig{}, {});
    const std::vector<Document> documents = {document};
    return BuildRequests(task_, PromptConfig{}, renderer, *tokenizer_, documents, {}, {{}},
                         options_)[0];
  }

  std::string ErrorOf(const Document& document) const {
    try {
      Build(document);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  static std::unique_ptr<Tokenizer> tokenizer_;
  TaskConfig task_;
  RequestOptions options_;
};

std::unique_ptr<Tokenizer> RequestsTest::tokenizer_;

TEST_F(RequestsTest, AChoiceIsDelimiterAndText) {
  const DocumentRequests document = Build(Doc("cat:", "a", "a", "bcd"));
  ASSERT_EQ(document.requests.size(), 2U);
  EXPECT_EQ(document.gold, 0);
  // " a" is one merged token.
  EXPECT_EQ(document.requests[0].num_scored, 1);
  EXPECT_EQ(tokenizer_->Decode(document.requests[0].tokens), "cat: a");
  EXPECT_EQ(document.requests[1].num_scored, 4);
  EXPECT_EQ(document.texts[1].num_tokens, 4);
  EXPECT_EQ(document.texts[1].num_bytes, 3);
  EXPECT_EQ(document.prompt_tokens, std::ssize(tokenizer_->Encode("cat:")));
  EXPECT_FALSE(document.truncated);
}

TEST_F(RequestsTest, LongPromptsLoseTheirStartAndAreCounted) {
  options_.max_length = 5;
  const DocumentRequests document = Build(Doc("wxyzwxyz", "bc", "bc", "d"));
  EXPECT_TRUE(document.truncated);
  // The last token is not fed, so one more than max_length stays.
  EXPECT_EQ(tokenizer_->Decode(document.requests[0].tokens), "xyz bc");
  EXPECT_EQ(tokenizer_->Decode(document.requests[1].tokens), "wxyz d");
  EXPECT_EQ(document.prompt_tokens, 3);
}

TEST_F(RequestsTest, AChoiceThatTheModelCannotSeeIsAnError) {
  options_.max_length = 3;
  EXPECT_THAT(ErrorOf(Doc("q", "bcde", "bcde", "d")), HasSubstr("has 5 tokens"));
}

TEST_F(RequestsTest, BadChoicesNameTaskVariantAndLine) {
  const std::string message = ErrorOf(Doc("q", "b", "b", "b", 7123));
  EXPECT_THAT(message, HasSubstr("task 't', variant 'default', document on line 7123"));
  EXPECT_THAT(message, HasSubstr("choices 0 and 1 are both 'b'"));
  EXPECT_THAT(ErrorOf(Doc("q", "b", "b", "")), HasSubstr("choice 1 is empty"));
  EXPECT_THAT(ErrorOf(Doc("q", "z", "b", "c")), HasSubstr("line 7"));
}

TEST_F(RequestsTest, AnUnknownFieldOfAVariantIsNamed) {
  PromptConfig prompt;
  prompt.name = "typo";
  prompt.doc_to_text = "{{ qq }}";
  std::string message = "no error";
  try {
    const ExampleRenderer renderer(task_, prompt, {});
    const std::vector<Document> documents = {Doc("q", "b", "b", "c")};
    BuildRequests(task_, prompt, renderer, *tokenizer_, documents, {}, {{}}, options_);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr("qq"));
  EXPECT_THAT(message, HasSubstr("typo"));
}

TEST_F(RequestsTest, GenerationLeavesRoomBehindThePrompt) {
  task_.output_type = "generate_until";
  task_.doc_to_choice.clear();
  options_.max_length = 8;
  options_.max_new_tokens = 5;
  const DocumentRequests document = Build(Doc("wxyzwxyz", "b", "", ""));
  EXPECT_EQ(tokenizer_->Decode(document.requests[0].tokens), "xyz");
  EXPECT_TRUE(document.truncated);
  options_.max_new_tokens = 8;
  EXPECT_THAT(ErrorOf(Doc("w", "b", "", "")), HasSubstr("max_gen_toks is 8"));
}

TEST_F(RequestsTest, AnEmptyPromptStartsFromThePrefixToken) {
  EXPECT_THAT(PromptTokens(*tokenizer_, ""), ElementsAre(*tokenizer_->bos_id()));
  EXPECT_EQ(PromptTokens(*tokenizer_, "xyz"), tokenizer_->Encode("xyz"));
  task_.output_type = "generate_until";
  task_.doc_to_choice.clear();
  const DocumentRequests document = Build(Doc("", "b", "", ""));
  EXPECT_THAT(document.requests[0].tokens, ElementsAre(*tokenizer_->bos_id()));
  EXPECT_EQ(document.prompt_tokens, 1);
}

// `generate` says the same of an empty prompt: generation_test.cpp.
TEST_F(RequestsTest, WithNeitherBosNorEosAnEmptyPromptIsAnError) {
  const TempFolder folder;
  WriteTinyTokenizer(folder.path());
  tiny_model::Write(folder.path(), "tokenizer_config.json", "{}");
  const auto without = Tokenizer::Load(folder.path());
  EXPECT_EQ(PromptTokens(*without, "xyz"), tokenizer_->Encode("xyz"));
  task_.output_type = "generate_until";
  task_.doc_to_choice.clear();
  std::string message = "no error";
  try {
    const ExampleRenderer renderer(task_, PromptConfig{}, {});
    const std::vector<Document> documents = {Doc("", "b", "", "")};
    BuildRequests(task_, PromptConfig{}, renderer, *without, documents, {}, {{}}, options_);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadData);
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr("document on line 7: the prompt is empty, and the tokenizer in '" +
                                 folder.path() + "' has neither a BOS nor an EOS token"));
}

TEST_F(RequestsTest, RollingTextStartsBehindThePrefixToken) {
  task_.output_type = "loglikelihood_rolling";
  task_.doc_to_choice.clear();
  task_.doc_to_target = "{{ q }}";
  const DocumentRequests document = Build(Doc("xyz", "", "", ""));
  ASSERT_EQ(document.requests.size(), 1U);
  EXPECT_EQ(document.requests[0].num_scored, 3);
  EXPECT_EQ(document.requests[0].tokens.front(), *tokenizer_->bos_id());
  EXPECT_THAT(ErrorOf(Doc("", "", "", "")), HasSubstr("empty"));
}

// The windows that lm-evaluation-harness 0.4.13's get_rolling_token_windows gives, with its input
// and predictions joined.
TEST(RollingWindowsTest, EveryTokenIsScoredOnceWithFullContextAtTheEnd) {
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<TokenRequest> windows = RollingWindows(tokens, 0, 4);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_THAT(windows[0].tokens, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(windows[0].num_scored, 4);
  EXPECT_THAT(windows[1].tokens, ElementsAre(4, 5, 6, 7, 8));
  EXPECT_EQ(windows[1].num_scored, 4);
  EXPECT_THAT(windows[2].tokens, ElementsAre(6, 7, 8, 9, 10));
  EXPECT_EQ(windows[2].num_scored, 2);
  EXPECT_EQ(RollingWindows(std::span(tokens).first(4), 0, 4).size(), 1U);
  EXPECT_EQ(RollingWindows({}, 0, 4).size(), 0U);
}

}  // namespace
}  // namespace breakeven
