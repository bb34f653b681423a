// Pure.
#include "trainer/checkpoint/training_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"
#include "trainer/resume_check.h"

namespace breakeven {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TrainingState Example() {
  TrainingState state;
  state.step = 120;
  state.epoch = 2;
  state.step_in_epoch = 17;
  state.total_steps = 500;
  state.num_updates = 118;
  state.skipped_steps = 2;
  state.tokens = int64_t{1} << 40;
  state.seconds = 0.1 + 0.2;
  state.best_validation_loss = 1.0 / 3;
  state.best_step = 100;
  state.last_validation_step = 120;
  state.seed = 7;
  state.plan_hash = "plan";
  state.dataset_hash = "data";
  state.train_size = 1920;
  state.tokenizer_fingerprint = "tokenizer";
  state.template_fingerprint = "template";
  state.config_hash = "config";
  state.settings_hash = "settings";
  state.world_size = 2;
  state.threads = 1;
  state.bucket_bytes = 1 << 24;
  state.precision = "float32";
  state.program_version = "0.1.0";
  state.libtorch_version = "2.15.0";
  return state;
}

TEST(TrainingState, ReadsBackExactly) {
  const TrainingState state = Example();
  const TrainingState read = ParseTrainingState(state.ToJson(), "state.json");
  EXPECT_EQ(read.ToJson(), state.ToJson());
  EXPECT_EQ(read.seconds, 0.1 + 0.2) << "every bit of a float";
  EXPECT_EQ(read.best_validation_loss, 1.0 / 3);
  EXPECT_EQ(read.tokens, int64_t{1} << 40);
  EXPECT_EQ(read.train_size, 1920);
}

TEST(TrainingState, NoValidationYetIsNull) {
  TrainingState state = Example();
  state.best_validation_loss = std::nan("");
  EXPECT_THAT(state.ToJson(), HasSubstr("\"best_validation_loss\": null"));
  EXPECT_TRUE(std::isnan(ParseTrainingState(state.ToJson(), "x").best_validation_loss));
}

TEST(TrainingState, DamageNamesFileAndKey) {
  std::string text = Example().ToJson();
  text.replace(text.find("\"step_in_epoch\""), 15, "\"step_in_epock\"");
  for (const std::string& bad : {text, std::string("{"), std::string("[]")}) {
    try {
      ParseTrainingState(bad, "run/state.json");
      FAIL() << "no error for " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_THAT(error.what(), HasSubstr("run/state.json"));
    }
  }
}

TEST(TrainingState, IsReadFromACheckpointsFolder) {
  const TempFolder folder;
  const auto write = [&](const std::string& text) {
    CreateFolders(folder / "trainer_state");
    WriteFileDurably(folder / kStateFile, text);
  };
  write(Example().ToJson());
  EXPECT_EQ(LoadTrainingState(folder.path()).ToJson(), Example().ToJson());
  for (const auto& [text, says] :
       {std::pair{std::string(R"({"format": 99})"), "format 99"},
        std::pair{std::string(1000, '['), "nested deeper"}, std::pair{std::string(), "damaged"}}) {
    write(text);
    try {
      LoadTrainingState(folder.path());
      FAIL() << "no error for " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData);
      EXPECT_THAT(error.what(), HasSubstr(folder / kStateFile));
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
  }
}

TEST(TrainingState, KeysThatEarlierVersionsDidNotWriteMayBeAbsent) {
  std::string text = Example().ToJson();
  for (const std::string key : {"settings_hash", "rollbacks", "recent_losses"}) {
    const size_t at = text.find("\"" + key + "\"");
    ASSERT_NE(at, std::string::npos) << key;
    text.replace(at + 1, 1, "_");
  }
  const TrainingState read = ParseTrainingState(text, "state.json");
  EXPECT_EQ(read.settings_hash, "");
  EXPECT_EQ(read.config_hash, "config");
}

TEST(Resume, SameIsSilent) {
  const ResumeVerdict verdict = CompareForResume(Example(), Example());
  EXPECT_EQ(verdict.error, "");
  EXPECT_THAT(verdict.warnings, IsEmpty());
}

TEST(Resume, OtherMeaningIsAnErrorNamingBothValues) {
  struct Case {
    std::string TrainingState::*field;
    ErrorKind kind;
  };
  for (const Case& c : {Case{&TrainingState::dataset_hash, ErrorKind::kBadData},
                        Case{&TrainingState::tokenizer_fingerprint, ErrorKind::kBadData},
                        Case{&TrainingState::template_fingerprint, ErrorKind::kBadData},
                        Case{&TrainingState::plan_hash, ErrorKind::kUsage}}) {
    TrainingState current = Example();
    current.*c.field = "other";
    const ResumeVerdict verdict = CompareForResume(Example(), current);
    EXPECT_THAT(verdict.error, HasSubstr(Example().*c.field));
    EXPECT_THAT(verdict.error, HasSubstr("other"));
    EXPECT_EQ(verdict.kind, c.kind);
  }
  TrainingState current = Example();
  current.seed = 8;
  EXPECT_THAT(CompareForResume(Example(), current).error, HasSubstr("seed 7, now it is 8"));
}

TEST(Resume, OtherRoundingIsAWarning) {
  TrainingState current = Example();
  current.world_size = 3;
  current.threads = 2;
  current.libtorch_version = "2.16.0";
  const ResumeVerdict verdict = CompareForResume(Example(), current);
  EXPECT_EQ(verdict.error, "");
  EXPECT_THAT(verdict.warnings, SizeIs(3));
}

TEST(Resume, OtherStepsAndOtherSettingsAreAWarningEach) {
  TrainingState longer = Example();
  longer.total_steps = 900;
  longer.config_hash = "config of 900 steps";
  EXPECT_THAT(CompareForResume(Example(), longer).warnings,
              ElementsAre(HasSubstr("steps in all: 500, now it is 900")));
  TrainingState other = longer;
  other.settings_hash = "other settings";
  EXPECT_THAT(CompareForResume(Example(), other).warnings,
              ElementsAre(HasSubstr("steps in all: 500, now it is 900"),
                          HasSubstr("settings of hash settings, now it is other settings")));
  other.total_steps = Example().total_steps;
  EXPECT_THAT(CompareForResume(Example(), other).warnings,
              ElementsAre(HasSubstr("now it is other settings")));
}

// It has the hash over everything alone: that says something only where the number of steps is the same.
TEST(Resume, ACheckpointOfAnEarlierVersionGivesNoFalseWarning) {
  TrainingState saved = Example();
  saved.settings_hash = "";
  EXPECT_THAT(CompareForResume(saved, Example()).warnings, IsEmpty());
  TrainingState current = Example();
  current.config_hash = "other";
  EXPECT_THAT(CompareForResume(saved, current).warnings,
              ElementsAre(HasSubstr("a config with hash config, now it is other")));
  current.total_steps = 900;
  EXPECT_THAT(CompareForResume(saved, current).warnings,
              ElementsAre(HasSubstr("steps in all"), HasSubstr("cannot be told")));
}

TEST(Resume, ProgressIsSavedDescriptionIsCurrent) {
  TrainingState current = Example();
  current.step = 0;
  current.world_size = 3;
  current.total_steps = 900;
  current.settings_hash = "other settings";
  const TrainingState state = ContinueFrom(Example(), current);
  EXPECT_EQ(state.step, 120);
  EXPECT_EQ(state.num_updates, 118);
  EXPECT_EQ(state.world_size, 3);
  EXPECT_EQ(state.total_steps, 900);
  EXPECT_EQ(state.settings_hash, "other settings");
}

}  // namespace
}  // namespace breakeven
