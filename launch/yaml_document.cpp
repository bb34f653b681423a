#include "launch/yaml_document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>
#include <unordered_set>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "data_pipeline/template/unicode.h"

namespace breakeven {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDepth = 64;

[[noreturn]] void Fail(const ConfigPlace& place, const std::string& message) {
  throw Error(ErrorKind::kUsage, place.Text() + ": " + message);
}

// Builds the tree from yaml-cpp's events: its own Node has neither duplicate-key checks nor a bound
// on aliases, and forgets which scalars were quoted.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const ConfigPlace& place, bool foreign) : place_(place), foreign_(foreign) {}

  ConfigNode Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Put(Make(mark, "?", anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Fail(At(mark),
         "aliases (*name) are not supported; write the value out, or put the section into a file "
         "of its own");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    ConfigNode node = Make(mark, tag, anchor);
    node.kind = ConfigNode::Kind::kScalar;
    node.text = value;
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    const bool null =
        value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL";
    if (!node.quoted && null && !ExpectsKey()) node.kind = ConfigNode::Kind::kNull;
    Put(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Make(mark, tag, anchor), ConfigNode::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Make(mark, tag, anchor), ConfigNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    ConfigNode node;
    bool has_key = false;
    std::string key;
    ConfigPlace key_place;
    std::unordered_set<std::string> keys;  // a megabyte has room for 150,000: no search for each
    bool again = false;                    // `key` stood here before
  };

  ConfigPlace At(const YAML::Mark& mark) const {
    ConfigPlace place = place_;
    place.line = mark.line + 1;
    place.column = mark.column + 1;
    return place;
  }
  ConfigNode Make(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    ConfigNode node;
    node.place = At(mark);
    if (anchor != 0) Fail(node.place, "anchors (&name) are not supported; write the value out");
    if (!tag.empty() && tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") {
      node.tag = tag;
      if (!foreign_) Fail(node.place, "the tag " + tag + " is not supported; leave it out");
    }
    return node;
  }
  bool ExpectsKey() const {
    return !levels_.empty() && levels_.back().node.is_map() && !levels_.back().has_key;
  }
  void Open(ConfigNode node, ConfigNode::Kind kind) {
    if (levels_.size() >= kMaxDepth) Fail(node.place, "nested deeper than 64 levels");
    if (ExpectsKey())
      Fail(node.place, "a list or a map stands where a key is expected; is a bracket left open?");
    node.kind = kind;
    levels_.push_back({std::move(node), false, "", {}, {}, false});
  }
  void Close() {
    ConfigNode node = std::move(levels_.back().node);
    levels_.pop_back();
    Put(std::move(node));
  }
  void Put(ConfigNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.is_list()) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      if (node.is_null()) Fail(node.place, "a key is missing before ':'");
      level.again = !level.keys.insert(node.text).second;
      if (level.again && !foreign_) {
        const ConfigNode* first = level.node.Find(node.text);
        Fail(node.place, "the key '" + node.text + "' stands here twice; the first is in line " +
                             std::to_string(first->place.line));
      }
      level.has_key = true;
      level.key = node.text;
      level.key_place = node.place;
    } else {
      level.has_key = false;
      if (level.again) {
        std::erase_if(level.node.entries,
                      [&](const ConfigEntry& entry) { return entry.key == level.key; });
      }
      level.node.entries.push_back(
          {std::move(level.key), std::move(level.key_place), std::move(node)});
    }
  }

  ConfigPlace place_;
  bool foreign_;
  ConfigNode root_;
  std::vector<Level> levels_;
};

std::string ReadBounded(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (file == nullptr) {
    throw Error(ErrorKind::kUsage,
                path + ": cannot open this config file: " + std::strerror(errno));
  }
  std::string text(kMaxBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    throw Error(ErrorKind::kUsage,
                path + ": cannot read this config file: " + std::strerror(errno));
  }
  return text;
}

ConfigNode Parse(std::string_view text, const ConfigPlace& place, bool foreign) {
  if (text.size() > kMaxBytes) {
    throw Error(ErrorKind::kUsage, place.source + ": larger than 1 MB; this is no config file");
  }
  // YAML has no NUL either.
  const size_t invalid = std::min(unicode::FindInvalidUtf8(text), text.find('\0'));
  if (invalid != std::string_view::npos) {
    throw Error(ErrorKind::kUsage, place.source + ": byte " + std::to_string(invalid) +
                                       " is not UTF-8 text; save the file as UTF-8");
  }
  TreeBuilder builder(place, foreign);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      ConfigNode empty;
      empty.kind = ConfigNode::Kind::kMap;
      empty.place = place;
      return empty;
    }
    ConfigNode root = builder.Take();
    if (parser.HandleNextDocument(builder)) Fail(place, "more than one document (---) in one file");
    return root;
  } catch (const YAML::Exception& error) {
    ConfigPlace where = place;
    where.line = error.mark.line + 1;
    where.column = error.mark.column + 1;
    Fail(where, "not YAML: " + error.msg);
  }
}

ConfigNode ParseFile(const std::string& path, bool foreign) {
  ConfigPlace place;
  place.source = path;
  place.is_file = true;
  place.line = 1;
  place.column = 1;
  return Parse(ReadBounded(path), place, foreign);
}

}  // namespace

ConfigNode ParseYamlText(std::string_view text, const ConfigPlace& place) {
  return Parse(text, place, /*foreign=*/false);
}

ConfigNode ParseYamlFile(const std::string& path) { return ParseFile(path, /*foreign=*/false); }

ConfigNode ParseForeignYamlFile(const std::string& path) {
  return ParseFile(path, /*foreign=*/true);
}

}  // namespace breakeven
