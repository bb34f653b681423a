#include "data_pipeline/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "data_pipeline/parallel.h"
#include "tests/data_pipeline/dataset_fixture.h"
#include "tests/support/one_cpu.h"

namespace breakeven {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TaskConfig Divided(const std::string& path) {
  TaskConfig task;
  task.name = "t";
  task.splits["all"].path = path;
  task.split_fractions = {{"dev", 0.1}, {"test", 0.2}, {"train", 0.7}};
  return task;
}

TEST(Split, FractionsAreMetAndOrderDoesNotMatter) {
  const TaskConfig task = Divided("x.jsonl");
  std::map<std::string, int> counts;
  for (int i = 0; i < 20000; ++i) {
    ++counts[SplitOfKey(task.split_fractions, "key " + std::to_string(i))];
  }
  EXPECT_NEAR(counts["train"], 14000, 300);
  EXPECT_NEAR(counts["test"], 4000, 250);
  EXPECT_NEAR(counts["dev"], 2000, 200);
}

// A stored split must stay what it is: these would move if the draw changed.
TEST(Split, DrawsAreStable) {
  const std::map<std::string, double> halves = {{"train", 0.5}, {"test", 0.5}};
  std::string drawn;
  for (char c = 'a'; c <= 'p'; ++c)
    drawn += SplitOfKey(halves, std::string(1, c)) == "train" ? '1' : '0';
  EXPECT_EQ(drawn, "1101000101111111");
  EXPECT_EQ(SplitOfKey({{"train", 1.0}, {"dev", 0.0}}, "x"), "train");
}

TEST(Split, GroupsStayTogetherAndEveryDocumentIsInOneSplit) {
  const TempFolder folder;
  std::string lines;
  for (int i = 0; i < 600; ++i) {
    lines += R"({"text":")" + std::to_string(i) + R"(","source":)" + std::to_string(i % 37) + "}\n";
  }
  WriteBytes(folder / "x.jsonl", lines);
  TaskConfig task = Divided(folder / "x.jsonl");
  for (const std::string& key :
       {std::string("{{ source }}"), std::string("source"), std::string()}) {
    task.group_key = key;
    std::map<std::string, std::set<std::string>> splits_of_group;
    std::set<uint64_t> seen;
    for (const std::string& split : SplitNames(task)) {
      const auto documents = ReadSplit(task, split, 3);
      EXPECT_FALSE(documents.empty()) << split;
      for (const Document& document : documents) {
        EXPECT_TRUE(seen.insert(document.line).second) << "line " << document.line << " twice";
        splits_of_group[ToJson(*document.fields.Find("source"))].insert(split);
      }
    }
    EXPECT_EQ(seen.size(), 600u);
    if (key.empty()) continue;
    for (const auto& [group, splits] : splits_of_group) {
      EXPECT_EQ(splits.size(), 1u) << "group " << group;
    }
  }
}

TEST(Split, NamesAreInTheirOrder) {
  TaskConfig task;
  task.splits["test"].path = "a";
  task.splits["train"].path = "b";
  task.splits["dev"].path = "c";
  EXPECT_THAT(SplitNames(task), ElementsAre("train", "dev", "test"));
  EXPECT_EQ(SplitFile(task, "dev").path, "c");
  EXPECT_EQ(SplitFile(Divided("z"), "dev").path, "z");
  task.splits.erase("dev");
  EXPECT_THAT(MessageOf(ErrorKind::kUsage, [&] { SplitFile(task, "dev"); }), HasSubstr("'dev'"));
}

TEST(Split, AMissingGroupFieldNamesFileAndLine) {
  const TempFolder folder;
  WriteBytes(folder / "x.jsonl", "{\"source\":1}\n{\"a\":1}\n");
  TaskConfig task = Divided(folder / "x.jsonl");
  for (const char* key : {"{{ source }}", "source"}) {
    task.group_key = key;
    const std::string message =
        MessageOf(ErrorKind::kBadData, [&] { ReadSplit(task, "train", 2); });
    EXPECT_THAT(message, HasSubstr("x.jsonl: document of line 2: task.group_key: "));
    EXPECT_THAT(message, HasSubstr("'source'"));
  }
}

TEST(ParallelFor, DoesEachItemOnceOnAnyNumberOfThreads) {
  for (const int threads : {0, 1, 3, 16}) {
    for (const size_t count : {size_t{0}, size_t{1}, size_t{63}, size_t{1000}}) {
      std::vector<std::atomic<int>> calls(count);
      std::atomic<size_t> done = 0;
      ParallelFor(
          count, threads, [&](size_t i) { ++calls[i]; }, [&](size_t n) { done += n; });
      for (size_t i = 0; i < count; ++i) EXPECT_EQ(calls[i], 1) << i;
      EXPECT_EQ(done, count);
    }
  }
}

TEST(ParallelFor, TheLowestFailingItemSpeaks) {
  for (const int threads : {1, 2, 7}) {
    for (int round = 0; round < 20; ++round) {
      const std::string message = MessageOf(ErrorKind::kBadData, [&] {
        ParallelFor(2000, threads, [](size_t i) {
          if (i % 100 == 77) throw Error(ErrorKind::kBadData, "item " + std::to_string(i));
        });
      });
      EXPECT_EQ(message, "item 77");
    }
  }
}

TEST(ParallelFor, ThreadCountIsThatOfTheMask) {
  // In a thread of its own: the mask is the thread's.
  std::thread([] {
    BindToOneCpu();
    EXPECT_EQ(ThreadCount(0), 1);
  }).join();
}

TEST(ParallelFor, ThreadCountHasALowerBound) {
  EXPECT_EQ(ThreadCount(5), 5);
  EXPECT_GE(ThreadCount(0), 1);
}

}  // namespace
}  // namespace breakeven
