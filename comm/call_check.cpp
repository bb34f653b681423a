// Pure.
#include "comm/call_check.h"

#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/hash.h"

namespace breakeven {
namespace {

class CallCheck final : public CollectiveObserver {
 public:
  explicit CallCheck(std::unique_ptr<Control> own) : control_(std::move(own)) {}

  void Begin(const CollectiveCall& call) override {
    const std::string text = call.Text();
    const int64_t hash =
        static_cast<int64_t>(Hash64(text.data(), static_cast<int64_t>(text.size())));
    int64_t ends[2] = {hash, ~hash};  // ~ turns the order round: the second is ~ of the largest
    control_->AllReduce(std::span<int64_t>(ends), ReduceOp::kMin);
    if (ends[0] != ~ends[1]) Fail(text, call.Site());
  }
  void End(const CollectiveCall&) noexcept override {}
  void Close() override { control_->Close(); }

 private:
  [[noreturn]] void Fail(const std::string& text, const std::string& site) {
    const std::vector<std::string> texts = control_->AllGather(text);
    const std::vector<std::string> sites = control_->AllGather(site);
    size_t other = 1;
    while (texts[other] == texts[0]) ++other;
    const auto name = [&](size_t rank) {
      return "rank " + std::to_string(rank) + " " + texts[rank] + " (" + sites[rank] + ")";
    };
    throw Error(ErrorKind::kCommunication,
                "the ranks are in different collectives: " + name(0) + ", " + name(other) +
                    ". One of them has taken another way through the program.",
                /*on_all_ranks=*/true);
  }

  std::unique_ptr<Control> control_;
};

}  // namespace

std::unique_ptr<CollectiveObserver> MakeCallCheck(std::unique_ptr<Control> own) {
  return std::make_unique<CallCheck>(std::move(own));
}

}  // namespace breakeven
