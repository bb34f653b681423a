// Pure.
#include "trainer/study/study_facts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/report_example.h"

namespace breakeven {
namespace {

std::string ValueOf(const std::vector<StudyFact>& facts, const std::string& group,
                    const std::string& name) {
  const auto found = std::find_if(facts.begin(), facts.end(), [&](const StudyFact& fact) {
    return fact.group == group && fact.name == name;
  });
  return found == facts.end() ? "absent" : found->value;
}

TEST(StudyFactsTest, VersionsHashesAndRanksAreNamed) {
  const std::vector<StudyFact> facts = StudyFacts(ExampleFacts());
  EXPECT_EQ(ValueOf(facts, "study", "finished"), "2026-03-04T10:11:12Z");
  EXPECT_EQ(ValueOf(facts, "study", "config"), "0f61bb2ce94d70a5");
  EXPECT_EQ(ValueOf(facts, "software", "finished by"), "breakeven 0.1.0, libtorch 2.15.0");
  EXPECT_EQ(ValueOf(facts, "software", "trained by"),
            "breakeven 0.1.0, libtorch 2.14.0; breakeven 0.1.0, libtorch 2.15.0");
  EXPECT_EQ(ValueOf(facts, "model", "tokenizer"), "c41d0be6a7f35298") << "named once";
  EXPECT_EQ(ValueOf(facts, "training", "ranks"), "2 ranks, 1 thread each");
  EXPECT_EQ(ValueOf(facts, "training", "learning rate at 800"), "5e-05, chosen on dev");
  EXPECT_EQ(ValueOf(facts, "data", "test"),
            "500 documents of data/test.jsonl, content a3f1909c22d7be10");
}

}  // namespace
}  // namespace breakeven
