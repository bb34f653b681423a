#define PCRE2_CODE_UNIT_WIDTH 8
#include "data_pipeline/tokenizer/regex.h"

#include <pcre2.h>

#include "comm/base/error.h"

namespace breakeven {
namespace {

std::string Message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// One per thread: a match context with the JIT's stack, and the block for the offsets (those of the
// whole match; groups are not asked for). Long words need more than the 32 KiB of machine stack
// that the JIT takes by default.
class Workspace {
 public:
  Workspace()
      : stack_(pcre2_jit_stack_create(32 * 1024, 64 * 1024 * 1024, nullptr)),
        context_(pcre2_match_context_create(nullptr)),
        block_(pcre2_match_data_create(1, nullptr)) {
    BE_CHECK(context_ != nullptr && block_ != nullptr, "PCRE2 has no memory");
    if (stack_ != nullptr) pcre2_jit_stack_assign(context_, nullptr, stack_);
    pcre2_set_heap_limit(context_, 1024 * 1024);  // KiB; used by the interpreter only
    pcre2_set_match_limit(context_, 1'000'000'000);
    pcre2_set_depth_limit(context_, 1'000'000'000);
  }
  ~Workspace() {
    pcre2_match_data_free(block_);
    pcre2_match_context_free(context_);
    pcre2_jit_stack_free(stack_);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  pcre2_match_context* context() { return context_; }
  pcre2_match_data* block() { return block_; }

 private:
  pcre2_jit_stack* stack_;
  pcre2_match_context* context_;
  pcre2_match_data* block_;
};

}  // namespace

struct Regex::Compiled {
  pcre2_code* code = nullptr;
  std::string pattern;
  ~Compiled() { pcre2_code_free(code); }
};

Regex::Regex(std::string_view pattern) : compiled_(std::make_unique<Compiled>()) {
  const std::string translated = TranslateOniguruma(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  // Ruby's ^ and $ are those of lines; its . stops at \n only.
  compiled_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &offset, context);
  pcre2_compile_context_free(context);
  compiled_->pattern = std::string(pattern);
  if (compiled_->code == nullptr) {
    throw Error(ErrorKind::kBadData,
                "regular expression \"" + compiled_->pattern + "\" is not valid: " + Message(code));
  }
  pcre2_jit_compile(compiled_->code,
                    PCRE2_JIT_COMPLETE);  // without it the interpreter runs: slower, not wrong
}

Regex::~Regex() = default;

void Regex::FindAll(std::string_view text, std::vector<Span>* matches) const {
  matches->clear();
  thread_local Workspace workspace;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t from = 0;
  bool after_match = false;  // a match ended at `from`
  while (from <= text.size()) {
    int rc = pcre2_match(compiled_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                         workspace.block(), workspace.context());
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      rc = pcre2_match(compiled_->code, subject, text.size(), from,
                       PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, workspace.block(), workspace.context());
    }
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc < 0) {
      throw Error(ErrorKind::kBadData, "regular expression \"" + compiled_->pattern +
                                           "\": the search failed at byte " + std::to_string(from) +
                                           " of the text: " + Message(rc));
    }
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(workspace.block());
    const Span match{offsets[0], offsets[1]};
    if (match.begin == match.end && after_match && match.end == from) {
      do {  // step over one character
        ++from;
      } while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80);
      after_match = false;
      // The previous match still ends where it ended: only an empty match exactly there is left
      // out.
      continue;
    }
    matches->push_back(match);
    from = match.end;
    after_match = true;
  }
}

}  // namespace breakeven
