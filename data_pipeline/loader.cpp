#include "data_pipeline/loader.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <thread>

#include "comm/base/error.h"
#include "comm/base/fault_point.h"

namespace breakeven {
namespace {

std::shared_ptr<void> Allocate(size_t num_bytes) {
  constexpr std::align_val_t kAlignment{64};
  return {::operator new(num_bytes, kAlignment),
          [](void* memory) { ::operator delete(memory, kAlignment); }};
}

LoadedMicroBatch Fill(const TokenDataset& dataset, const std::vector<int64_t>& examples,
                      bool drop_tails) {
  LoadedMicroBatch loaded;
  const auto count = static_cast<size_t>(CountTokens(dataset, examples));
  if (count > 0) loaded.memory = Allocate(count * (3 * sizeof(int64_t) + sizeof(float)));
  auto* numbers = static_cast<int64_t*>(loaded.memory.get());
  loaded.batch.tokens = {numbers, count};
  loaded.batch.positions = {numbers + count, count};
  loaded.batch.targets = {numbers + 2 * count, count};
  loaded.batch.loss_weight = {reinterpret_cast<float*>(numbers + 3 * count), count};
  FillMicroBatch(dataset, examples, loaded.batch);
  if (drop_tails) DropTails(loaded.batch);
  return loaded;
}

}  // namespace

StepCursor NextCursor(const EpochPlanner& planner, StepCursor cursor) {
  if (cursor.step + 1 < planner.num_steps(cursor.epoch)) return {cursor.epoch, cursor.step + 1};
  return {cursor.epoch + 1, 0};
}

struct Loader::Impl {
  const TokenDataset& dataset;
  const EpochPlanner& planner;
  LoaderOptions options;

  std::mutex mutex;
  std::condition_variable filled;
  std::condition_variable taken;
  std::deque<LoadedStep> queue;
  std::exception_ptr error;
  bool done = false;     // the thread delivers nothing more
  bool stopped = false;  // it was told to
  std::thread thread;

  LoadedStep Load(StepCursor cursor) const {
    FaultPoint("loader.step", cursor.step);
    LoadedStep step;
    step.plan = planner.Plan(cursor.epoch, cursor.step);
    step.next = NextCursor(planner, cursor);
    BE_CHECK(options.rank >= 0 && options.rank < static_cast<int>(step.plan.micro_batches.size()),
             "rank " + std::to_string(options.rank));
    for (const auto& examples : step.plan.micro_batches[static_cast<size_t>(options.rank)]) {
      step.micro_batches.push_back(Fill(dataset, examples, options.drop_tails));
    }
    return step;
  }

  void Run() {
    StepCursor cursor = options.start;
    for (int64_t i = 0; i < options.num_steps; ++i) {
      LoadedStep step = Load(cursor);
      cursor = step.next;
      std::unique_lock lock(mutex);
      taken.wait(lock, [this] {
        return stopped || static_cast<int64_t>(queue.size()) < options.queued_steps;
      });
      if (stopped) return;
      queue.push_back(std::move(step));
      filled.notify_one();
    }
  }

  void RunAndReport() noexcept {
    std::exception_ptr caught;
    try {
      Run();
    } catch (...) {
      caught = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    error = caught;
    done = true;
    filled.notify_one();
  }
};

Loader::Loader(const TokenDataset& dataset, const EpochPlanner& planner,
               const LoaderOptions& options)
    : impl_(new Impl{dataset, planner, options, {}, {}, {}, {}, {}, false, false, {}}) {
  BE_CHECK(options.queued_steps >= 1, "queued_steps " + std::to_string(options.queued_steps));
  impl_->thread = std::thread([impl = impl_.get()] { impl->RunAndReport(); });
}

Loader::~Loader() { Stop(); }

std::optional<LoadedStep> Loader::Next() {
  std::unique_lock lock(impl_->mutex);
  impl_->filled.wait(lock,
                     [this] { return !impl_->queue.empty() || impl_->done || impl_->stopped; });
  if (impl_->stopped) return std::nullopt;
  if (impl_->queue.empty()) {
    if (impl_->error) std::rethrow_exception(impl_->error);
    return std::nullopt;
  }
  LoadedStep step = std::move(impl_->queue.front());
  impl_->queue.pop_front();
  impl_->taken.notify_one();
  return step;
}

void Loader::Stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopped = true;
    impl_->taken.notify_all();
    impl_->filled.notify_all();
  }
  if (impl_->thread.joinable()) impl_->thread.join();
}

}  // namespace breakeven
