#include "data_pipeline/document.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "comm/base/error.h"
#include "tests/support/temp_folder.h"

namespace breakeven {
namespace {

class DocumentTest : public testing::Test {
 protected:
  std::vector<Document> Read(const std::string& name, const std::string& contents,
                             int num_threads = 1, std::vector<std::string> columns = {}) {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << contents;
    DataFileConfig file;
    file.path = path;
    file.columns = std::move(columns);
    return ReadDocuments(file, num_threads);
  }

  // The message without the folder's name.
  std::string ErrorOf(const std::string& name, const std::string& contents, int num_threads = 1) {
    try {
      Read(name, contents, num_threads);
    } catch (const Error& error) {
      const std::string message = error.what();
      const size_t found = message.find(name);
      return found == std::string::npos ? message : message.substr(found);
    }
    return "no error";
  }

  static std::string Text(const Document& document, const char* field) {
    const Value* value = document.fields.Find(field);
    return value == nullptr           ? "(none)"
           : value->is<std::string>() ? *value->get_if<std::string>()
                                      : ToJson(*value);
  }

  const TempFolder folder_;
};

TEST_F(DocumentTest, JsonLines) {
  const auto documents = Read("d.jsonl", "\xEF\xBB\xBF{\"a\": 1}\r\n\n  \n{\"a\": \"é\"}");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(Text(documents[0], "a"), "1");
  EXPECT_EQ(documents[1].line, 4u);
  EXPECT_EQ(Text(documents[1], "a"), "é");
  EXPECT_TRUE(Read("empty.jsonl", "").empty());
}

TEST_F(DocumentTest, ThreadsChangeNothing) {
  std::string contents;
  for (int i = 0; i < 3000; ++i) contents += "{\"i\": " + std::to_string(i) + "}\n";
  const auto documents = Read("d.jsonl", contents, 4);
  ASSERT_EQ(documents.size(), 3000u);
  for (size_t i = 0; i < documents.size(); ++i)
    EXPECT_EQ(*documents[i].fields.Find("i")->get_if<int64_t>(), static_cast<int64_t>(i));
  // Of two bad lines the first is named, whichever thread comes upon it.
  contents += "[1]\n{\"i\": }\n";
  for (int round = 0; round < 5; ++round) {
    EXPECT_EQ(ErrorOf("d.jsonl", contents, 4),
              "d.jsonl line 3001: found a JSON list, expected one object {\"field\": value, ...} "
              "on each line");
  }
}

TEST_F(DocumentTest, Csv) {
  const auto documents = Read("d.csv", "a,b\r\n1,\"x,\"\"y\"\"\nz\"\r\n\r\n,\n\"\",q\"r");
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(Text(documents[0], "b"), "x,\"y\"\nz");
  EXPECT_EQ(documents[1].line, 5u);
  EXPECT_EQ(Text(documents[1], "a"), "");
  EXPECT_EQ(Text(documents[2], "b"), "q\"r");
  const auto named = Read("e.tsv", "1\t2\n", 1, {"x", "y"});
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(Text(named[0], "y"), "2");
}

TEST_F(DocumentTest, TextLines) {
  const auto documents = Read("d.txt", "one\n\ntwo\r\n");
  ASSERT_EQ(documents.size(), 3u);
  EXPECT_EQ(Text(documents[1], "text"), "");
  EXPECT_EQ(Text(documents[2], "text"), "two");
}

TEST_F(DocumentTest, ErrorsNameFileAndLine) {
  EXPECT_EQ(ErrorOf("d.jsonl", "{\"a\": 1}\n{\"a\": tru}\n").substr(0, 45),
            "d.jsonl line 2: not valid JSON at byte 9: syn");
  EXPECT_EQ(ErrorOf("d.csv", "a,b\n1\n"),
            "d.csv line 2: found 1 columns, expected 2 as in the header row");
  EXPECT_EQ(ErrorOf("d.csv", "a,b\n1,2\n\"3,4\n").substr(0, 52),
            "d.csv line 3: a quoted field begins here and never e");
  EXPECT_EQ(ErrorOf("d.csv", "a,b\n\"1\"x,2\n").substr(0, 55),
            "d.csv line 2: found text behind the closing quote of a ");
  EXPECT_EQ(ErrorOf("d.csv", "a,a\n"), "d.csv line 1: two columns are named 'a'");
  EXPECT_EQ(ErrorOf("d.csv", "").substr(0, 31), "d.csv line 1: the file is empty");
  EXPECT_EQ(ErrorOf("d.txt", "ok\nab\xC3(\n").substr(0, 57),
            "d.txt line 2: invalid UTF-8 at byte offset 5 (0xc3); conv");
  EXPECT_EQ(ErrorOf("d.dat", "x").substr(0, 55),
            "d.dat: cannot tell the format by the extension 'dat'; s");
}

}  // namespace
}  // namespace breakeven
