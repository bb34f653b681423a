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

TEST(MetricsTest, APriorTurnsTheChoiceButNotTheLikelihood) {
  DocumentRequests document;
  document.texts = {{"yes", 1, 3, 3}, {"no", 1, 2, 2}};
  document.gold = 1;
  document.golds = {1};
  const std::vector<std::string> metrics = {"acc", "target_loglikelihood", "brier_score"};
  const std::vector<RequestScore> scores = {{std::log(0.6), true}, {std::log(0.4), false}};
  EXPECT_EQ(ScoreChoices(document, scores, metrics).metrics.at("acc"), 0);
  // Without content the model says yes three times as often: 0.6/0.75 against 0.4/0.25.
  const std::vector<double> priors = {std::log(0.75), std::log(0.25)};
  const DocumentOutcome outcome = ScoreChoices(document, scores, metrics, priors);
  EXPECT_EQ(outcome.metrics.at("acc"), 1);
  EXPECT_EQ(outcome.prediction, "no");
  EXPECT_DOUBLE_EQ(outcome.metrics.at("target_loglikelihood"), std::log(0.4));
  EXPECT_NEAR(outcome.metrics.at("brier_score"), 2 * (0.8 / 2.4) * (0.8 / 2.4), 1e-12);
}

TEST(MetricsTest, AnyOfSeveralRightChoicesIsRight) {
  DocumentRequests document;
  document.texts = {{"a", 1, 1, 1}, {"b", 1, 1, 1}, {"c", 1, 1, 1}};
  document.gold = 0;
  document.golds = {0, 2};
  const std::vector<std::string> metrics = {"acc"};
  const auto hits = [&](double a, double b, double c) {
    const std::vector<RequestScore> scores = {{a, true}, {b, true}, {c, true}};
    return ScoreChoices(document, scores, metrics).metrics.at("acc");
  };
  EXPECT_EQ(hits(-1, -2, -3), 1);
  EXPECT_EQ(hits(-2, -1, -3), 0);
  EXPECT_EQ(hits(-2, -3, -1), 1);
}

TEST(MetricsTest, TargetsAreScoredByGreedinessAndPerplexity) {
  DocumentRequests document;
  document.target = "Paris";
  document.texts = {{"Paris", 1, 5, 5}};
  document.gold = 0;
  const std::vector<std::string> metrics = {"acc", "perplexity"};
  const std::vector<DocumentRequests> documents(2, document);
  const std::vector<DocumentOutcome> outcomes = {ScoreTarget(document, {-1, true}, metrics),
                                                 ScoreTarget(document, {-3, false}, metrics)};
  EXPECT_EQ(outcomes[0].prediction, "Paris");
  EXPECT_EQ(outcomes[1].prediction, "");
  const auto all = AggregateMetrics(metrics, documents, outcomes);
  EXPECT_DOUBLE_EQ(all.at("acc").value, 0.5);
  EXPECT_DOUBLE_EQ(all.at("perplexity").value, std::exp(2.0));
}

TEST(MetricsTest, ConfusionMetricsAreOfAllDocuments) {
  DocumentRequests no;
  no.texts = {{"no", 1, 2, 2}, {"yes", 1, 3, 3}};
  no.gold = 0;
  DocumentRequests yes = no;
  yes.gold = 1;
  const std::vector<std::string> metrics = {"f1", "mcc"};
  const std::vector<RequestScore> says_yes = {{-2, false}, {-1, true}};
  const std::vector<RequestScore> says_no = {{-1, true}, {-2, false}};
  const std::vector<DocumentRequests> documents = {yes, yes, no, no};
  std::vector<DocumentOutcome> outcomes;
  for (const auto& scores : {says_yes, says_no, says_no, says_no}) {
    outcomes.push_back(ScoreChoices(documents[outcomes.size()], scores, metrics));
  }
  const auto all = AggregateMetrics(metrics, documents, outcomes);
  EXPECT_DOUBLE_EQ(all.at("f1").value, 2.0 / 3);
  EXPECT_NEAR(all.at("mcc").value, 1 / std::sqrt(3.0), 1e-12);
  EXPECT_TRUE(std::isnan(all.at("f1").standard_error));
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
