// What the control plane and its helpers must do.
#include <cstring>
#include <functional>
#include <new>
#include <span>
#include <string>

#include "tests/comm/communicator_contract.h"
#include "tests/comm/communicator_contract_values.h"

namespace breakeven::contract {
namespace {

void PlacesFitTogether(World& world) {
  Control& control = *world.control;
  Expect(world.data->rank() == control.rank(), "the planes number the ranks differently");
  Expect(world.data->world_size() == control.world_size(), "the planes differ in size");
  Expect(control.local_rank() < control.local_size(), "local rank beyond its node");
  Expect(control.node_rank() < control.num_nodes(), "node beyond the number of nodes");
  Expect(world.local_rank == control.local_rank(), "World's local rank differs from Control's");
  const std::vector<std::string> ranks = control.AllGather(std::to_string(control.rank()));
  for (int r = 0; r < control.world_size(); ++r) {
    Expect(ranks[static_cast<size_t>(r)] == std::to_string(r), "AllGather is not in order of rank");
  }
  const int64_t leaders = control.AllReduce(int64_t{control.local_rank() == 0}, ReduceOp::kSum);
  Expect(leaders == control.num_nodes(), "number of nodes is not the number of local ranks 0");
}

void ControlReducesSmallValues(World& world) {
  Control& control = *world.control;
  const int n = world.world_size();
  int64_t values[3] = {world.rank(), -world.rank(), int64_t{1} << 60};
  control.AllReduce(std::span<int64_t>(values), ReduceOp::kMax);
  Expect(values[0] == n - 1 && values[1] == 0 && values[2] == int64_t{1} << 60, "max is wrong");
  control.AllReduce(std::span<int64_t>(), ReduceOp::kSum);
  Expect(control.AllReduce(int64_t{world.rank()}, ReduceOp::kMin) == 0, "min is wrong");

  // Long enough for more than one piece; the order of the sum shows in the last bits.
  const int64_t count = 20001;
  std::vector<double> sums(static_cast<size_t>(count));
  std::memcpy(sums.data(), Values(DType::kFloat64, count, world.rank()).data(), sums.size() * 8);
  control.AllReduce(std::span<double>(sums), ReduceOp::kSum);
  ExpectSameBytes(sums.data(),
                  Reduced(DType::kFloat64, ReduceOp::kSum, count, n, 0, /*by_node=*/false),
                  DType::kFloat64, "control AllReduce of doubles");
}

void ControlCarriesTexts(World& world) {
  Control& control = *world.control;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{3} << 20}) {
    for (int root = 0; root < world.world_size(); ++root) {
      const std::string expected(size, static_cast<char>('a' + root));
      std::string text = world.rank() == root ? expected : "something else";
      control.Broadcast(text, root);
      Expect(text == expected, "Broadcast of " + std::to_string(size) + " bytes");
    }
  }
  const auto text_of = [](int rank) {
    return std::string(static_cast<size_t>(rank * 1001), static_cast<char>(rank));
  };
  const std::vector<std::string> texts = control.AllGather(text_of(world.rank()));
  Expect(static_cast<int>(texts.size()) == world.world_size(), "AllGather: number of texts");
  for (int r = 0; r < world.world_size(); ++r) {
    Expect(texts[static_cast<size_t>(r)] == text_of(r),
           "AllGather: text of rank " + std::to_string(r));
  }
}

// Runs it on all ranks and returns what was thrown; the kind and text must be the same everywhere.
Error Thrown(World& world, const std::function<void()>& run) {
  std::string seen = "nothing";
  Error result(ErrorKind::kInternal, "nothing was thrown");
  try {
    run();
  } catch (const Error& error) {
    result = error;
    seen = std::to_string(error.exit_code()) + " " + error.what();
  }
  for (const std::string& other : world.control->AllGather(seen)) {
    Expect(other == seen, "ranks threw differently: " + seen + " / " + other);
  }
  Expect(seen != "nothing", "nothing was thrown");
  Expect(result.on_all_ranks(), "the error does not say that all ranks throw it: " + seen);
  return result;
}

void FailuresOfOneRankAreFailuresOfAll(World& world) {
  const int n = world.world_size();
  int runs = 0;
  RunTogether(*world.control, false, [&] { ++runs; });
  Expect(runs == 1, "work did not run once");
  RunTogether(*world.control, true, [&] { ++runs; });
  Expect(runs == (world.is_root() ? 2 : 1), "root_only ran elsewhere or not at all");

  for (int bad = 0; bad < n; ++bad) {
    const Error error = Thrown(world, [&] {
      RunTogether(*world.control, false, [&] {
        if (world.rank() >= bad)
          throw Error(ErrorKind::kBadData, "file of " + std::to_string(world.rank()));
      });
    });
    Expect(error.kind() == ErrorKind::kBadData, "the kind of error was lost");
    const std::string expected =
        (bad > 0 ? "rank " + std::to_string(bad) + ": " : "") + "file of " + std::to_string(bad);
    Expect(error.what() == expected,
           "\"" + std::string(error.what()) + "\", not \"" + expected + "\"");
  }
  const Error of_root =
      Thrown(world, [&] { RunTogether(*world.control, true, [] { throw std::bad_alloc(); }); });
  Expect(of_root.kind() == ErrorKind::kMachine, "bad_alloc is a failing of the machine");
}

void DifferencesBetweenRanksAreNamed(World& world) {
  CheckSameOnAllRanks(*world.control, ErrorKind::kUsage, "config", "same");
  if (world.world_size() == 1) return;
  const int odd = world.world_size() - 1;
  std::string value(500, 'x');
  value += world.rank() == odd ? 'b' : 'a';
  value.append(500, 'y');
  const Error error = Thrown(
      world, [&] { CheckSameOnAllRanks(*world.control, ErrorKind::kUsage, "the config", value); });
  const std::string text = error.what();
  Expect(error.kind() == ErrorKind::kUsage, "wrong kind");
  for (const std::string& part :
       {std::string("the config"), std::string("rank 0 has"),
        "rank " + std::to_string(odd) + " has", std::string("xxay"), std::string("xxby")}) {
    Expect(text.find(part) != std::string::npos, "\"" + part + "\" is not in: " + text);
  }
  Expect(text.size() < 800, "the message carries the whole value");
}

}  // namespace

std::vector<Check> ControlChecks() {
  return {
      {"PlacesFitTogether", PlacesFitTogether},
      {"ControlReducesSmallValues", ControlReducesSmallValues},
      {"ControlCarriesTexts", ControlCarriesTexts},
      {"FailuresOfOneRankAreFailuresOfAll", FailuresOfOneRankAreFailuresOfAll},
      {"DifferencesBetweenRanksAreNamed", DifferencesBetweenRanksAreNamed},
  };
}

}  // namespace breakeven::contract
