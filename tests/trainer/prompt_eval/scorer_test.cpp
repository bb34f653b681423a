#include "trainer/prompt_eval/scorer.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "comm/base/random.h"
#include "comm/world.h"
#include "tests/support/tiny_model.h"
#include "trainer/model/head.h"
#include "trainer/prompt_eval/packing.h"

namespace breakeven {
namespace {

struct TinyModel {
  ModelStorage storage;
  std::unique_ptr<Model> model;

  explicit TinyModel(at::ScalarType product_type = at::kFloat) {
    storage.product_type = product_type;
    model = BuildModel(ParseModelConfig(TinyConfigJson(), "tiny config"), storage);
    InitializeWeights(*model, 3);
    RefreshCopies(storage);
  }
};

int32_t RandomToken(uint64_t stream, uint64_t index) {
  return static_cast<int32_t>(RandomBits(5, stream, index) % 264);
}

// Ragged documents: prompts of 1 to 40 tokens with 4 choices of 1 to 6; every fifth has a choice
// that begins another, every seventh has requests that do not even begin alike.
std::vector<DocumentRequests> RandomDocuments(int64_t count) {
  std::vector<DocumentRequests> documents;
  for (int64_t d = 0; d < count; ++d) {
    const auto stream = static_cast<uint64_t>(d);
    std::vector<int32_t> prompt(1 + RandomBits(9, stream, 0) % 40);
    for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = RandomToken(stream, 100 + i);
    DocumentRequests document;
    for (uint64_t c = 0; c < 4; ++c) {
      TokenRequest request{prompt, static_cast<int64_t>(1 + RandomBits(9, stream, 1 + c) % 6)};
      for (int64_t i = 0; i < request.num_scored; ++i) {
        request.tokens.push_back(RandomToken(stream, 1000 * (c + 1) + static_cast<uint64_t>(i)));
      }
      if (d % 7 == 3) request.tokens.front() = static_cast<int32_t>(c);
      document.requests.push_back(request);
    }
    if (d % 5 == 0) {
      document.requests[1].tokens = document.requests[0].tokens;
      document.requests[1].tokens.push_back(7);
      document.requests[1].num_scored = document.requests[0].num_scored + 1;
    }
    documents.push_back(document);
  }
  return documents;
}

// Each request alone, no cache, the whole softmax.
RequestScore ScoreAlone(Model& model, const TokenRequest& request) {
  const c10::InferenceMode inference;
  SegmentPacker packer;
  packer.Add(std::span(request.tokens).first(request.tokens.size() - 1), 0);
  const at::Tensor hidden_TC = model.HiddenStates(packer.Pack(at::kCPU));
  const at::Tensor logits_TV = at::matmul(hidden_TC, model.HeadWeight().t()).to(at::kDouble);
  const at::Tensor log_probability_TV = at::log_softmax(logits_TV, 1);
  RequestScore score;
  const int64_t size = std::ssize(request.tokens);
  for (int64_t i = size - request.num_scored; i < size; ++i) {
    const at::Tensor row = log_probability_TV[i - 1];
    score.loglikelihood += row[request.tokens[i]].item<double>();
    score.is_greedy = score.is_greedy && row.argmax().item<int64_t>() == request.tokens[i];
  }
  return score;
}

std::vector<std::vector<RequestScore>> ScoreWith(int world_size,
                                                 const std::vector<DocumentRequests>& documents,
                                                 int64_t batch_tokens,
                                                 at::ScalarType product_type = at::kFloat) {
  std::vector<std::vector<RequestScore>> scores;
  std::mutex mutex;
  RunThreadWorld(world_size, [&](World& world) {
    at::set_num_threads(1);
    TinyModel tiny(product_type);
    const ScoreResult result = LogLikelihood(*tiny.model, *world.control, documents, batch_tokens);
    const std::scoped_lock lock(mutex);
    if (scores.empty()) scores = result.documents;
    for (size_t d = 0; d < documents.size(); ++d) {
      for (size_t r = 0; r < documents[d].requests.size(); ++r) {
        EXPECT_EQ(scores[d][r].loglikelihood, result.documents[d][r].loglikelihood)
            << "rank " << world.rank() << " of " << world_size << ", document " << d << ", request "
            << r;
      }
    }
  });
  return scores;
}

TEST(ScorerTest, SharedPromptsGiveWhatEachRequestGivesAlone) {
  const std::vector<DocumentRequests> documents = RandomDocuments(40);
  const auto scores = ScoreWith(1, documents, 200);
  at::set_num_threads(1);  // rows are short: threads would only wait for each other
  TinyModel tiny;
  for (size_t d = 0; d < documents.size(); ++d) {
    for (size_t r = 0; r < documents[d].requests.size(); ++r) {
      const RequestScore alone = ScoreAlone(*tiny.model, documents[d].requests[r]);
      EXPECT_NEAR(scores[d][r].loglikelihood, alone.loglikelihood, 1e-4)
          << "document " << d << ", request " << r;
      EXPECT_EQ(scores[d][r].is_greedy, alone.is_greedy) << "document " << d << ", request " << r;
    }
  }
}

TEST(ScorerTest, AGreedyContinuationIsRecognised) {
  TinyModel tiny;
  DocumentRequests document;
  document.requests = {{{1, 2, 3, 4}, 1}};
  const c10::InferenceMode inference;
  SegmentPacker packer;
  packer.Add(std::span(document.requests[0].tokens).first(3), 0);
  const at::Tensor logits_TV =
      at::matmul(tiny.model->HiddenStates(packer.Pack(at::kCPU)), tiny.model->HeadWeight().t());
  document.requests[0].tokens[3] = static_cast<int32_t>(logits_TV[2].argmax().item<int64_t>());
  const std::vector<DocumentRequests> documents = {document};
  EXPECT_TRUE(ScoreWith(1, documents, 64)[0][0].is_greedy);
}

TEST(ScorerTest, ScoresAreTheSameBitsForOneToFourRanks) {
  const std::vector<DocumentRequests> documents = RandomDocuments(37);
  const auto one = ScoreWith(1, documents, 150);
  for (const int world_size : {2, 3, 4}) {
    const auto many = ScoreWith(world_size, documents, 150);
    for (size_t d = 0; d < documents.size(); ++d) {
      for (size_t r = 0; r < one[d].size(); ++r) {
        EXPECT_EQ(one[d][r].loglikelihood, many[d][r].loglikelihood)
            << world_size << " ranks, document " << d << ", request " << r;
        EXPECT_EQ(one[d][r].is_greedy, many[d][r].is_greedy);
      }
    }
  }
}

// The same behind shots: five sixths of the documents behind one set, the others behind another.
std::vector<DocumentRequests> BehindShots(std::vector<DocumentRequests> documents) {
  for (size_t d = 0; d < documents.size(); ++d) {
    std::vector<int32_t> shots(40);
    for (size_t i = 0; i < shots.size(); ++i) shots[i] = RandomToken(d % 6 == 5 ? 78 : 77, i);
    for (TokenRequest& request : documents[d].requests) {
      request.tokens.insert(request.tokens.begin(), shots.begin(), shots.end());
    }
  }
  return documents;
}

TEST(ScorerTest, ScoresBehindSharedShotsAreThoseOfEachRequestAlone) {
  const std::vector<DocumentRequests> documents = BehindShots(RandomDocuments(40));
  const ScorePlan plan = PlanScoring(documents, 200);
  ASSERT_EQ(plan.trunks.size(), 2U);
  const auto scores = ScoreWith(1, documents, 200);
  at::set_num_threads(1);
  TinyModel tiny;
  for (size_t d = 0; d < documents.size(); ++d) {
    for (size_t r = 0; r < documents[d].requests.size(); ++r) {
      const RequestScore alone = ScoreAlone(*tiny.model, documents[d].requests[r]);
      EXPECT_NEAR(scores[d][r].loglikelihood, alone.loglikelihood, 1e-4)
          << "document " << d << ", request " << r;
      EXPECT_EQ(scores[d][r].is_greedy, alone.is_greedy) << "document " << d << ", request " << r;
    }
  }
  const auto three = ScoreWith(3, documents, 200);
  for (size_t d = 0; d < documents.size(); ++d) {
    for (size_t r = 0; r < scores[d].size(); ++r) {
      EXPECT_EQ(scores[d][r].loglikelihood, three[d][r].loglikelihood) << d << ", " << r;
    }
  }
}

// Behind trunks and prefixes keys and values are bfloat16, what is merged of them float32.
TEST(ScorerTest, InBFloat16ScoresAreThoseOfFloat32ToItsRoundingAndTheSameBitsForAnyRanks) {
  const std::vector<DocumentRequests> documents = BehindShots(RandomDocuments(40));
  const auto exact = ScoreWith(1, documents, 200);
  const auto rounded = ScoreWith(1, documents, 200, at::kBFloat16);
  const auto three = ScoreWith(3, documents, 200, at::kBFloat16);
  double squares = 0, count = 0;
  for (size_t d = 0; d < documents.size(); ++d) {
    for (size_t r = 0; r < exact[d].size(); ++r) {
      EXPECT_EQ(rounded[d][r].loglikelihood, three[d][r].loglikelihood) << d << ", " << r;
      const double error = rounded[d][r].loglikelihood - exact[d][r].loglikelihood;
      const auto tokens = static_cast<double>(documents[d].requests[r].num_scored);
      EXPECT_LE(std::abs(error), 0.2 * tokens)
          << "document " << d << ", request " << r << ": " << exact[d][r].loglikelihood;
      squares += error * error / tokens;
      ++count;
    }
  }
  EXPECT_LE(std::sqrt(squares / count), 0.05);
  EXPECT_GT(squares, 0) << "float32 after all";
}

TEST(ScorerTest, FewerDocumentsThanRanks) {
  const std::vector<DocumentRequests> documents = RandomDocuments(2);
  const auto one = ScoreWith(1, documents, 1000);
  const auto four = ScoreWith(4, documents, 1000);
  EXPECT_EQ(one[1][2].loglikelihood, four[1][2].loglikelihood);
}

TEST(ScorerTest, PromptsAreFedOnce) {
  DocumentRequests document;
  document.requests = {{{1, 2, 3, 4, 5, 10}, 1}, {{1, 2, 3, 4, 5, 11, 12}, 2}};
  const std::vector<DocumentRequests> documents = {document};
  RunThreadWorld(1, [&](World& world) {
    TinyModel tiny;
    EXPECT_EQ(LogLikelihood(*tiny.model, *world.control, documents, 100).fed_tokens, 6);
  });
}

}  // namespace
}  // namespace breakeven
