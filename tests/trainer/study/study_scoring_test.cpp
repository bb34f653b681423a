// What a study keeps of its precisions, and what the timing of serving is planned to cost.
#include "trainer/study/study_scoring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/log.h"
#include "tests/support/temp_folder.h"
#include "trainer/checkpoint/training_state.h"
#include "trainer/prompt_eval/shared_starts.h"
#include "trainer/study/study_plan.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

const BFloat16Support kFast{true, "host a: AVX512-BF16"};
const BFloat16Support kSlow{false, "host b: neither AVX512-BF16 nor AMX"};

class StudyPrecisionTest : public ::testing::Test {
 protected:
  StudyPrecisionTest() {
    SetLogQuiet(true);
    config_.train.precision = "auto";
  }

  // By rank: what a cell trains in when the study begins, or goes on, on such ranks; the message where it ends.
  std::vector<std::string> CellTypes(const std::vector<BFloat16Support>& ranks,
                                     ErrorKind refusal = ErrorKind::kMachine) const {
    std::vector<std::string> types(ranks.size());
    RunThreadWorld(static_cast<int>(ranks.size()), [&](World& world) {
      const auto rank = static_cast<size_t>(world.rank());
      StudyConfig config = config_;
      StudyStore store(folder_.path(), "f", world);
      try {
        store.KeepPrecisions(config, ranks[rank]);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), refusal);
        EXPECT_TRUE(error.on_all_ranks());
        types[rank] = error.what();
        return;
      }
      store.Save();
      types[rank] = CellTraining(config, MakeCell(8, 1e-3, 1), "d.h5", "v.h5", "x").precision;
    });
    return types;
  }

  StudyState StateOnDisk() const {
    const std::string path = folder_ / "study_state.json";
    return ParseStudyState(ReadFile(path), path);
  }

  const TempFolder folder_;
  StudyConfig config_;
};

TEST_F(StudyPrecisionTest, WhatAutoMeantAtTheStartHoldsForLaterCells) {
  EXPECT_THAT(CellTypes({kFast, kSlow}), Each("float32")) << "agreed";
  EXPECT_THAT(CellTypes({kFast}), Each("float32")) << "kept";
  EXPECT_EQ(StateOnDisk().training_precision, "float32");
  EXPECT_EQ(StateOnDisk().precision, "float32");
}

TEST_F(StudyPrecisionTest, AStudyEndsWhereItsCellsCannotTrainAsTheyDid) {
  EXPECT_THAT(CellTypes({kFast, kFast}), Each("bfloat16"));
  EXPECT_EQ(StateOnDisk().training_precision, "bfloat16");
  EXPECT_EQ(StateOnDisk().precision, "float32") << "scoring's is another key";
  EXPECT_THAT(CellTypes({kFast, kSlow}),
              Each(AllOf(HasSubstr("train.precision: "), HasSubstr(folder_.path()),
                         HasSubstr("was begun in bfloat16"), HasSubstr("rank 1"),
                         HasSubstr("host b"), HasSubstr("force_bfloat16: true"))));
  config_.precision.force_bfloat16 = true;
  EXPECT_THAT(CellTypes({kFast, kSlow}), Each("bfloat16"));
}

TEST_F(StudyPrecisionTest, AtTheStartARefusalSpeaksOfNoStudy) {
  config_.train.precision = "bfloat16";
  EXPECT_THAT(CellTypes({kSlow}), Each(AllOf(HasSubstr("host b"), Not(HasSubstr("begun")))));
}

TEST_F(StudyPrecisionTest, AnotherPrecisionThanTheKeptOneIsRefused) {
  config_.precision.type = "auto";
  EXPECT_THAT(CellTypes({kFast}), Each("bfloat16"));
  EXPECT_EQ(StateOnDisk().precision, "bfloat16");
  config_.precision.type = "float32";
  EXPECT_THAT(CellTypes({kSlow}, ErrorKind::kUsage),
              Each(AllOf(HasSubstr("precision: float32, but the study in"),
                         HasSubstr("was begun in bfloat16"), HasSubstr("Set that"))));
}

TEST_F(StudyPrecisionTest, AnOlderStatesTrainingPrecisionIsResolvedAndKeptAtOnce) {
  StudyState older;
  older.fingerprint = "f";
  older.precision = "float32";
  const std::string key = ArmKey("dev", "base", "plain");
  const std::string part = folder_ / PartFile(key);
  CreateFolders(folder_ / "eval/parts");
  WriteFileDurably(part, "{}\n");
  older.arms[key] = {{}, "h", HashHex(HashFile(part))};
  auto json = nlohmann::json::parse(FormatStudyState(older));
  json.erase("training_precision");
  const auto go_on_and_expect = [&](const std::string& precision) {
    WriteFileDurably(folder_ / "study_state.json", json.dump());
    RunThreadWorld(2, [&](World& world) {
      StudyConfig config = config_;
      StudyStore store(folder_.path(), "f", world);
      store.KeepPrecisions(config, kFast);
      EXPECT_EQ(config.train.precision, precision);
    });
    EXPECT_EQ(StateOnDisk().training_precision, precision) << "nobody called Save";
  };
  go_on_and_expect("bfloat16");
  EXPECT_EQ(StateOnDisk().arms.count(key), 1U);

  // Unless a cell has begun: on whatever machine that was.
  TrainingState trained;
  trained.precision = "float32";
  const std::string checkpoint = folder_ / "cells/n8/checkpoints/step_000003";
  CreateFolders(checkpoint + "/trainer_state");
  WriteFileDurably(checkpoint + "/" + kStateFile, trained.ToJson());
  go_on_and_expect("float32");
}

TEST(ServingTokensTest, ABatchHasAsManyDocumentsAsCanShareAPrefix) {
  EvalConfig config;
  ArmRequests requests;
  for (int32_t i = 0; i < 2 * kMinSharedMembers; ++i) {
    TokenRequest request{std::vector<int32_t>(30), 1};
    std::iota(request.tokens.begin(), request.tokens.end(), 1000 * i);
    requests.documents.emplace_back().requests = {request};
  }
  const auto expected = [&](double batches) {
    return (1 + 1 / batches) * RequestTokens(config, requests, PrefixSharing::kWithinDocument) +
           RequestTokens(config, requests, PrefixSharing::kAcrossDocuments);
  };
  EXPECT_DOUBLE_EQ(ServingTokens(config, requests, 100), expected(2));
  requests.documents.pop_back();
  EXPECT_DOUBLE_EQ(ServingTokens(config, requests, 100), expected(1));
}

}  // namespace
}  // namespace breakeven
