// Pure.
#include "data_pipeline/split_overlap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/random.h"
#include "tests/data_pipeline/dataset_fixture.h"

namespace breakeven {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

// Texts of `words` words from a vocabulary of 5,000: two of them share hardly a run of three.
std::vector<std::string> RandomWords(uint64_t seed, size_t words) {
  std::vector<std::string> text;
  for (size_t i = 0; i < words; ++i) {
    text.push_back("w" + std::to_string(RandomBits(seed, 0, i) % 5000));
  }
  return text;
}

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

TEST(ShinglesTest, AreRunsOfThreeWords) {
  EXPECT_THAT(ShinglesOf("one two three four"), SizeIs(2));
  EXPECT_EQ(ShinglesOf("one, two -- three!"), ShinglesOf("one two three"));
  EXPECT_THAT(ShinglesOf("one two"), SizeIs(1)) << "a short text is one run";
  EXPECT_NE(ShinglesOf("one two"), ShinglesOf("onetwo"));
  EXPECT_THAT(ShinglesOf("a b c a b c"), SizeIs(3)) << "each run once";
  EXPECT_THAT(ShinglesOf(" ... "), IsEmpty());
  EXPECT_THAT(ShinglesOf("今日は雨です"), SizeIs(4)) << "without blanks every character is a word";
  EXPECT_THAT(ShinglesOf("오늘은 비가 옵니다"), SizeIs(1)) << "Hangul has blanks";
}

TEST(ShinglesTest, JaccardIsCommonOverAll) {
  const Shingles a = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(Jaccard(a, {3, 4, 5}), 2.0 / 5);
  EXPECT_DOUBLE_EQ(Jaccard(a, a), 1);
  EXPECT_DOUBLE_EQ(Jaccard(a, {}), 0);
  EXPECT_DOUBLE_EQ(Jaccard({}, {}), 0) << "texts without words are not alike";
}

// Every pair compared exactly is the oracle: MinHash must find what is near, and nothing else.
TEST(NearDuplicatesTest, FindsWhatComparingAllPairsFinds) {
  std::vector<Shingles> pool;
  std::vector<Shingles> texts;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    std::vector<std::string> words = RandomWords(seed, 40 + seed % 60);
    pool.push_back(ShinglesOf(Join(words)));
    for (uint64_t edit = 0; edit < seed % 9; ++edit) {
      words[RandomBits(seed, 1, edit) % words.size()] = "changed" + std::to_string(edit);
    }
    texts.push_back(ShinglesOf(Join(words)));
  }
  const auto sketch = [](const std::vector<Shingles>& all) {
    std::vector<SketchedText> sketches;
    for (const Shingles& shingles : all) sketches.push_back({&shingles, BandsOf(shingles)});
    return sketches;
  };
  const auto found = FindNearest(sketch(texts), sketch(pool), 0.8, 2);
  size_t near = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::optional<size_t> best;
    for (size_t j = 0; j < pool.size(); ++j) {
      const double similarity = Jaccard(texts[i], pool[j]);
      if (similarity >= 0.8 && (!best || similarity > Jaccard(texts[i], pool[*best]))) best = j;
    }
    ASSERT_EQ(found[i].has_value(), best.has_value()) << "text " << i;
    if (!best) continue;
    EXPECT_EQ(found[i]->index, *best);
    EXPECT_DOUBLE_EQ(found[i]->similarity, Jaccard(texts[i], pool[*best]));
    ++near;
  }
  EXPECT_GT(near, 50u);
  EXPECT_LT(near, 120u) << "some must be too far";
}

// The share of bands that agree is s^5 for texts of similarity s, if the permutations are as good as drawn.
TEST(NearDuplicatesTest, BandsAgreeAsOftenAsMinHashPromises) {
  double expected = 0;
  double agreed = 0;
  constexpr int kPairs = 400;
  for (int pair = 0; pair < kPairs; ++pair) {
    std::vector<std::string> words = RandomWords(static_cast<uint64_t>(pair), 100);
    const Shingles a = ShinglesOf(Join(words));
    for (size_t i = 0; i < 4; ++i) words[20 * i + 5] = "changed";
    const Shingles b = ShinglesOf(Join(words));
    expected += std::pow(Jaccard(a, b), kMinimaOfBand);
    const Bands bands_a = BandsOf(a);
    const Bands bands_b = BandsOf(b);
    for (size_t i = 0; i < kBands; ++i) agreed += bands_a[i] == bands_b[i] ? 1.0 / kBands : 0;
  }
  // 400 × 25 draws of about 0.3; pairs that share bands are not independent, so three times the deviation of those that are.
  EXPECT_NEAR(agreed / kPairs, expected / kPairs, 0.02);
}

class SplitOverlapTest : public testing::Test {
 protected:
  void Add(const std::string& split, const std::vector<std::string>& texts,
           const std::vector<std::string>& groups = {}) {
    ComparedSplit compared{split, split + ".jsonl", {}};
    for (size_t i = 0; i < texts.size(); ++i) {
      compared.texts.push_back(CompareBy(texts[i], groups.empty() ? "" : groups[i], i + 1, true));
    }
    splits_.push_back(std::move(compared));
  }
  const Overlap& Of(const std::vector<Overlap>& overlaps, OverlapKind kind, size_t split,
                    size_t other) {
    for (const Overlap& overlap : overlaps) {
      if (overlap.kind == kind && overlap.split == &splits_[split] &&
          overlap.other == &splits_[other]) {
        return overlap;
      }
    }
    throw std::runtime_error("no such overlap");
  }

  std::vector<ComparedSplit> splits_;
};

TEST_F(SplitOverlapTest, TextsAndGroupsThatTwoSplitsShare) {
  Add("train", {"one", "Two  words", "three"}, {"g", "", "h"});
  Add("test", {"four", "two words", "five", "six"}, {"", "", "g", "g"});
  const std::vector<Overlap> shared = FindShared(splits_);
  const Overlap& texts = Of(shared, OverlapKind::kText, 1, 0);
  EXPECT_THAT(texts.lines, ElementsAre(Pair(2, 2)));
  EXPECT_EQ(texts.Share(), 0.25);
  EXPECT_EQ(DescribeOverlap(texts),
            "1 of 4 documents of 'test' (test.jsonl) have the text of one in 'train' "
            "(train.jsonl), as on lines 2 and 2");
  EXPECT_THAT(Of(shared, OverlapKind::kGroup, 1, 0).lines, ElementsAre(Pair(3, 1), Pair(4, 1)));
  EXPECT_THAT(Of(shared, OverlapKind::kGroup, 0, 1).lines, ElementsAre(Pair(1, 3)));
}

TEST_F(SplitOverlapTest, NearDuplicatesAreCountedListedAndRefusedAboveTheShare) {
  std::vector<std::string> train;
  std::vector<std::string> test;
  for (uint64_t i = 0; i < 20; ++i) {
    train.push_back(Join(RandomWords(i, 60)));
    test.push_back(Join(RandomWords(100 + i, 60)));
  }
  for (const uint64_t i : {0, 3, 4, 8, 12}) {
    std::vector<std::string> copied = RandomWords(i + 1, 60);
    copied[30] = "changed";
    test[i] = Join(copied);
  }
  test[9] = train[16];  // equal, so not near
  Add("train", train);
  Add("test", test);
  OverlapConfig config;
  for (const int threads : {1, 3}) {
    std::vector<ComparedSplit> before = splits_;
    const std::vector<Overlap> near = FindNear(splits_, config, threads);
    const Overlap& found = Of(near, OverlapKind::kNear, 1, 0);
    EXPECT_THAT(found.lines,
                ElementsAre(Pair(1, 2), Pair(4, 5), Pair(5, 6), Pair(9, 10), Pair(13, 14)));
    config.max_near_share = 0.25;
    RefuseOverlap(found, config);
    config.max_near_share = 0.04;
    EXPECT_THAT(MessageOf(ErrorKind::kBadData, [&] { RefuseOverlap(found, config); }),
                AllOf(HasSubstr("5 of 20 documents of 'test'"), HasSubstr("nearly equal"),
                      HasSubstr("lines 1 and 2"), HasSubstr("overlap.max_near_share: 0.04")));
    Overlap few = found;
    few.lines.pop_back();
    RefuseOverlap(few, config);  // four are luck
    splits_ = std::move(before);
  }
  config.near_similarity = 0;
  EXPECT_THAT(FindNear(splits_, config, 1), IsEmpty());
}

// Of 60 words of an instruction and 10 of a document, most are the same everywhere.
TEST_F(SplitOverlapTest, ATemplatesOwnWordsMakeNoDuplicates) {
  const std::string instruction = Join(RandomWords(1000, 60));
  std::vector<std::string> train;
  std::vector<std::string> test;
  for (uint64_t i = 0; i < 10; ++i) {
    train.push_back(instruction + " " + Join(RandomWords(i, 10)));
    test.push_back(instruction + " " + Join(RandomWords(100 + i, 10)));
  }
  ASSERT_GT(Jaccard(ShinglesOf(train[0]), ShinglesOf(test[0])), 0.6);
  OverlapConfig config;
  config.near_similarity = 0.6;
  Add("train", train);
  Add("test", test);
  EXPECT_THAT(Of(FindNear(splits_, config, 2), OverlapKind::kNear, 1, 0).lines, IsEmpty());
}

TEST(NormaliseForComparisonTest, FoldsCaseAndWhiteSpace) {
  EXPECT_EQ(NormaliseForComparison("  A\t\nb\u3000C  "), "a b c");
  EXPECT_EQ(NormaliseForComparison("ÄÖ Привет ΣΟΦΟΣ"), NormaliseForComparison("äö привет σοφος"));
  EXPECT_EQ(NormaliseForComparison(""), "");
  EXPECT_NE(NormaliseForComparison("ab"), NormaliseForComparison("a b"));
}

}  // namespace
}  // namespace breakeven
