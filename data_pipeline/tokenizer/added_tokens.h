// Pure. Added tokens: texts that become one id wherever they stand, before the model sees the rest.
#ifndef BREAKEVEN_DATA_PIPELINE_TOKENIZER_ADDED_TOKENS_H_
#define BREAKEVEN_DATA_PIPELINE_TOKENIZER_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalised text, by its normalised content
  bool special = false;
  bool operator==(const AddedToken&) const = default;
};

// A stretch of text: an added token (id >= 0), or what stands between two.
struct AddedPiece {
  std::string_view text;
  int32_t id = -1;
};

// Finds tokens leftmost-longest in one pass, as the Aho-Corasick automaton of `tokenizers` does: a
// trie, tried where the first byte fits. Immutable after the last Add.
class AddedTokenMatcher {
 public:
  // `pattern`: the text to look for (the token's content, normalised where the token says so), not
  // empty. Of two equal patterns the first one added counts.
  void Add(std::string_view pattern, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }

  // Appends the pieces of `text`, in order; `text` is well-formed UTF-8 and is not empty. Where
  // lstrip and rstrip of two tokens reach for the same spaces, the first takes them.
  void Split(std::string_view text, std::vector<AddedPiece>* pieces) const;

 private:
  struct Edge {
    unsigned char byte;
    int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;  // sorted by byte
    int32_t token = -1;       // index into tokens_ of the token that ends here
  };
  // Where the longest token at text[from] ends, with its index; index -1 when there is none.
  struct Match {
    size_t end = 0;
    int32_t token = -1;
  };
  Match LongestAt(std::string_view text, size_t from) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = {Node{}};
  std::array<bool, 256> starts_ = {};
  int num_starts_ = 0;
  char only_start_ = '\0';
};

}  // namespace breakeven

#endif  // BREAKEVEN_DATA_PIPELINE_TOKENIZER_ADDED_TOKENS_H_
