// Pure. Numbers computed by hand.
#include "trainer/prompt_eval/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "comm/base/error.h"

namespace breakeven {
namespace {

const std::vector<std::string> kBoth = {"acc", "acc_norm"};

DocumentRequests Choices(std::vector<std::pair<std::string, int64_t>> texts, int64_t gold) {
  DocumentRequests document;
  for (const auto& [text, chars] : texts) {
    document.texts.push_back({text, 1, std::ssize(text), chars});
  }
  document.gold = gold;
  document.target = document.texts[gold].text;
  return document;
}

TEST(MetricsTest, AccTakesTheSumAndAccNormTheSumPerCodePoint) {
  // Two Hangul syllables are 2 code points, 6 bytes: −6/2 = −3 against −5/1.
  const DocumentRequests document = Choices({{"a", 1}, {"서울", 2}}, 1);
  const std::vector<RequestScore> scores = {{-5, false}, {-6, false}};
  const DocumentOutcome outcome = ScoreChoices(document, scores, kBoth);
  EXPECT_EQ(outcome.metrics.at("acc"), 0);
  EXPECT_EQ(outcome.metrics.at("acc_norm"), 1);
  EXPECT_EQ(outcome.prediction, "a");
  EXPECT_EQ(outcome.target, "서울");
}

TEST(MetricsTest, TiesGoToTheFirst) {
  const std::vector<RequestScore> scores = {{-2, false}, {-1, false}, {-1, false}};
  const DocumentRequests second = Choices({{"x", 1}, {"y", 1}, {"z", 1}}, 1);
  const DocumentRequests third = Choices({{"x", 1}, {"y", 1}, {"z", 1}}, 2);
  EXPECT_EQ(ScoreChoices(second, scores, kBoth).metrics.at("acc"), 1);
  EXPECT_EQ(ScoreChoices(third, scores, kBoth).metrics.at("acc"), 0);
}

TEST(MetricsTest, NotANumberIsAnError) {
  const std::vector<RequestScore> scores = {{-1, false},
                                            {std::numeric_limits<double>::quiet_NaN(), false}};
  EXPECT_THROW(ScoreChoices(Choices({{"x", 1}, {"y", 1}}, 0), scores, kBoth), Error);
}

DocumentRequests Rolling(const std::string& text) {
  DocumentRequests document;
  document.target = text;
  document.texts.push_back({text, 3, std::ssize(text), std::ssize(text)});
  return document;
}

TEST(MetricsTest, PerplexitiesAreSumsOverSums) {
  const std::vector<std::string> metrics = {"word_perplexity", "byte_perplexity", "bits_per_byte"};
  const std::vector<DocumentRequests> documents = {Rolling("one two"), Rolling("three")};
  const std::vector<DocumentOutcome> outcomes = {
      ScoreRolling(documents[0], std::vector<RequestScore>{{-4, true}, {-2, false}}, metrics),
      ScoreRolling(documents[1], std::vector<RequestScore>{{-9, true}}, metrics)};
  EXPECT_EQ(outcomes[0].num_words, 2);
  EXPECT_DOUBLE_EQ(outcomes[0].metrics.at("word_perplexity"), std::exp(6.0 / 2));
  EXPECT_FALSE(outcomes[0].texts[0].is_greedy);
  const auto total = AggregateMetrics(metrics, documents, outcomes);
  EXPECT_DOUBLE_EQ(total.at("word_perplexity").value, std::exp(15.0 / 3));
  EXPECT_DOUBLE_EQ(total.at("byte_perplexity").value, std::exp(15.0 / 12));
  EXPECT_DOUBLE_EQ(total.at("bits_per_byte").value, 15.0 / (12 * std::numbers::ln2));
  EXPECT_GT(total.at("bits_per_byte").standard_error, 0);
}

TEST(MetricsTest, CountsWordsAsPythonSplitsThem) {
  EXPECT_EQ(CountWords("a b"), 2);
  EXPECT_EQ(CountWords("a  b\n"), 3);  // the end counts an empty word
  EXPECT_EQ(CountWords(" a"), 2);
  EXPECT_EQ(CountWords(""), 1);
  EXPECT_EQ(CountWords("a\xC2\xA0"
                       "b"),
            2);  // no-break space is \s
}

TEST(MetricsTest, ExactMatchForgivesWhatItIsToldTo) {
  DocumentRequests document;
  document.target = "Paris.";
  ExactMatchConfig options;
  const std::vector<std::string> metrics = {"exact_match"};
  EXPECT_EQ(ScoreGeneration(document, " Paris.\n", metrics, options).metrics.at("exact_match"), 1);
  EXPECT_EQ(ScoreGeneration(document, "paris", metrics, options).metrics.at("exact_match"), 0);
  options.ignore_case = true;
  options.ignore_punctuation = true;
  EXPECT_EQ(ScoreGeneration(document, "paris", metrics, options).metrics.at("exact_match"), 1);
  options.strip = false;
  EXPECT_EQ(ScoreGeneration(document, " paris", metrics, options).metrics.at("exact_match"), 0);
  options.ignore_numbers = true;
  EXPECT_EQ(NormaliseForMatch("A-1 É2", options), "a é");
}

TEST(MetricsTest, BrierScoreAndCalibrationUseTheNormalisedLikelihoods) {
  DocumentRequests document;
  document.texts = {{"yes", 1, 3, 3}, {"no", 1, 2, 2}};
  document.gold = 0;
  const std::vector<std::string> metrics = {"acc", "acc_bytes", "brier_score",
                                            "target_loglikelihood", "calibration_error"};
  // Likelihoods 0.03 and 0.01: normalised 0.75 and 0.25.
  const std::vector<RequestScore> sure = {{std::log(0.03), true}, {std::log(0.01), false}};
  const std::vector<RequestScore> wrong = {{std::log(0.01), true}, {std::log(0.03), false}};
  const DocumentOutcome right = ScoreChoices(document, sure, metrics);
  EXPECT_NEAR(right.metrics.at("brier_score"), 2 * 0.25 * 0.25, 1e-12);
  EXPECT_EQ(right.metrics.at("acc"), 1);
  EXPECT_EQ(right.metrics.at("acc_bytes"), 1);
  EXPECT_NEAR(right.metrics.at("target_loglikelihood"), std::log(0.03), 1e-12);
  EXPECT_EQ(right.metrics.count("calibration_error"), 0U) << "it is no document's";
  const std::vector<DocumentRequests> documents(4, document);
  // Three of four right at a confidence of 0.75: calibrated. All right: off by 0.25.
  std::vector<DocumentOutcome> outcomes(3, right);
  outcomes.push_back(ScoreChoices(document, wrong, metrics));
  EXPECT_NEAR(AggregateMetrics(metrics, documents, outcomes).at("calibration_error").value, 0,
              1e-12);
  outcomes.back() = right;
  const auto all = AggregateMetrics(metrics, documents, outcomes);
  EXPECT_NEAR(all.at("calibration_error").value, 0.25, 1e-12);
  EXPECT_NEAR(all.at("brier_score").value, 0.125, 1e-12);
}

TEST(MetricsTest, MeansComeWithTheirStandardError) {
  const std::vector<std::string> metrics = {"acc"};
  std::vector<DocumentRequests> documents(4);
  std::vector<DocumentOutcome> outcomes(4);
  for (int i = 0; i < 4; ++i) outcomes[i].metrics["acc"] = i == 0 ? 0 : 1;
  const MetricValue acc = AggregateMetrics(metrics, documents, outcomes).at("acc");
  EXPECT_DOUBLE_EQ(acc.value, 0.75);
  EXPECT_DOUBLE_EQ(acc.standard_error, std::sqrt(0.25) / 2);
}

}  // namespace
}  // namespace breakeven
