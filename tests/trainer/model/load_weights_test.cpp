// Weights of a folder: what does not fit is listed whole, and every number arrives as it stands there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "comm/base/durable_file.h"
#include "comm/base/error.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/model/model_fixture.h"
#include "trainer/checkpoint/safetensors.h"

namespace breakeven {
namespace {

using namespace model_fixture;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Stored {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<char> bytes;
};

Stored StoredF32(const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().contiguous();
  Stored stored{"F32", values.sizes().vec(),
                std::vector<char>(static_cast<size_t>(values.nbytes()))};
  std::memcpy(stored.bytes.data(), values.const_data_ptr(), stored.bytes.size());
  return stored;
}

class LoadWeightsTest : public testing::Test {
 protected:
  // All tensors of a model with random weights, to be spoilt by the test.
  static std::map<std::string, Stored> TensorsOf(const Built& source) {
    std::map<std::string, Stored> tensors;
    for (const NamedParameter& parameter : source.model->parameters()) {
      tensors.emplace(parameter.name, StoredF32(parameter.tensor));
    }
    return tensors;
  }

  void Write(const std::map<std::string, Stored>& tensors,
             const std::string& file = "model.safetensors") const {
    std::vector<TensorToWrite> list;
    for (const auto& [name, stored] : tensors) {
      list.push_back({name, stored.dtype, stored.shape, stored.bytes.data()});
    }
    WriteSafetensors(folder_ + "/" + file, list);
  }

  std::string ErrorOfLoading(Built& target) const {
    try {
      LoadWeights(folder_, *target.model);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadData) << error.what();
      return error.what();
    }
    return "loaded";
  }

  void ExpectLoads(const std::string& json, const at::Tensor& expected_P) const {
    Built target = Build(json);
    ASSERT_EQ(ErrorOfLoading(target), "loaded");
    EXPECT_TRUE(at::equal(target.storage->parameters_P, expected_P));
    EXPECT_NO_THROW(CheckWeights(folder_, target.model->config()));
  }

  const TempFolder temp_folder_;
  const std::string folder_ = temp_folder_.path();
};

TEST_F(LoadWeightsTest, EveryTensorArrivesInItsPlace) {
  for (const std::string& json : {Gpt2Json(), LlamaJson(), Qwen2Json()}) {
    const Built source = BuildRandom(json);
    Write(TensorsOf(source));
    ExpectLoads(json, source.storage->parameters_P);
  }
}

TEST_F(LoadWeightsTest, PartsOfRanksThatShareTheMemoryMakeAWhole) {
  const Built source = BuildRandom(Gpt2Json());
  std::map<std::string, Stored> tensors = TensorsOf(source);
  tensors["lm_head.weight"] = tensors.at("transformer.wte.weight");
  Write(tensors);
  Built target = Build(Gpt2Json());
  for (const int part : {2, 0}) LoadWeights(folder_, *target.model, part, 3);
  EXPECT_FALSE(at::equal(target.storage->parameters_P, source.storage->parameters_P));
  LoadWeights(folder_, *target.model, 1, 3);
  EXPECT_TRUE(at::equal(target.storage->parameters_P, source.storage->parameters_P));
}

TEST_F(LoadWeightsTest, ListsMissingExtraAndMisshapenTogether) {
  const Built source = BuildRandom(LlamaJson());
  std::map<std::string, Stored> tensors = TensorsOf(source);
  tensors.erase("model.layers.0.mlp.up_proj.weight");
  tensors.erase("model.norm.weight");
  tensors["model.layers.0.self_attn.q_proj.bias"] = StoredF32(at::zeros({48}));
  tensors["model.layers.2.input_layernorm.weight"] = StoredF32(at::ones({24}));
  tensors["model.layers.1.self_attn.k_proj.weight"] = StoredF32(at::zeros({24, 16}));
  Stored integers = StoredF32(at::zeros({24}));
  integers.dtype = "I32";
  tensors["model.layers.1.input_layernorm.weight"] = integers;
  Write(tensors);
  Built target = BuildRandom(LlamaJson());
  const at::Tensor before = target.storage->parameters_P.clone();
  EXPECT_THAT(
      ErrorOfLoading(target),
      AllOf(HasSubstr(folder_), HasSubstr("missing (2)"),
            HasSubstr("model.layers.0.mlp.up_proj.weight [40, 24]"),
            HasSubstr("model.norm.weight [24]"), HasSubstr("another shape or type (2)"),
            HasSubstr("model.layers.1.self_attn.k_proj.weight is F32[24, 16]"),
            HasSubstr("[16, 24]"), HasSubstr("model.layers.1.input_layernorm.weight is I32[24]"),
            HasSubstr("not part of the model (2)"),
            HasSubstr("model.layers.0.self_attn.q_proj.bias F32[48]"),
            HasSubstr("model.layers.2.input_layernorm.weight F32[24]")));
  EXPECT_TRUE(at::equal(target.storage->parameters_P, before)) << "nothing may be half loaded";
  try {
    CheckWeights(folder_, target.model->config());
    FAIL() << "no error without reading the weights";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), ErrorOfLoading(target)) << "the same list from the headers alone";
  }
}

TEST_F(LoadWeightsTest, NamesWithoutPrefixAndOldBuffersAreKnown) {
  const Built llama = BuildRandom(LlamaJson());
  std::map<std::string, Stored> tensors;
  for (auto& [name, stored] : TensorsOf(llama)) {
    tensors.emplace(name.starts_with("model.") ? name.substr(6) : name, stored);
  }
  tensors["layers.0.self_attn.rotary_emb.inv_freq"] = StoredF32(at::zeros({4}));
  Write(tensors);
  ExpectLoads(LlamaJson(), llama.storage->parameters_P);

  const Built gpt2 = BuildRandom(Gpt2Json());
  tensors.clear();
  for (auto& [name, stored] : TensorsOf(gpt2)) {
    ASSERT_TRUE(name.starts_with("transformer.")) << name;
    tensors.emplace(name.substr(12), stored);
  }
  tensors["h.0.attn.bias"] = StoredF32(at::ones({1, 1, 32, 32}));
  tensors["h.0.attn.masked_bias"] = StoredF32(at::zeros({1}));
  Write(tensors);
  ExpectLoads(Gpt2Json(), gpt2.storage->parameters_P);

  tensors["transformer.wte.weight"] = tensors.at("wte.weight");
  Write(tensors);
  Built target = Build(Gpt2Json());
  EXPECT_THAT(ErrorOfLoading(target), AllOf(HasSubstr("wte.weight"), HasSubstr("twice")));
}

TEST_F(LoadWeightsTest, ATiedHeadInTheFileMustBeTheEmbedding) {
  const Built source = BuildRandom(Qwen2Json());
  std::map<std::string, Stored> tensors = TensorsOf(source);
  tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight");
  Write(tensors);
  ExpectLoads(Qwen2Json(), source.storage->parameters_P);

  tensors["lm_head.weight"].bytes[40] ^= 1;
  Write(tensors);
  Built target = Build(Qwen2Json());
  EXPECT_THAT(ErrorOfLoading(target),
              AllOf(HasSubstr("lm_head.weight"), HasSubstr("tie_word_embeddings")));
  tensors["lm_head.weight"] = StoredF32(at::zeros({60, 24}));
  Write(tensors);
  EXPECT_THAT(ErrorOfLoading(target), AllOf(HasSubstr("[60, 24]"), HasSubstr("[61, 24]")));
}

TEST_F(LoadWeightsTest, ShardsTogetherAreTheModel) {
  const Built source = BuildRandom(LlamaJson());
  std::map<std::string, Stored> first, second;
  nlohmann::json index = {{"metadata", nlohmann::json::object()}};
  for (auto& [name, stored] : TensorsOf(source)) {
    const bool early = first.size() < 7;
    (early ? first : second).emplace(name, stored);
    index["weight_map"][name] = early ? "a.safetensors" : "b.safetensors";
  }
  Write(first, "a.safetensors");
  Write(second, "b.safetensors");
  WriteFileDurably(folder_ + "/model.safetensors.index.json", index.dump());
  ExpectLoads(LlamaJson(), source.storage->parameters_P);
}

// The definition of the formats, in double: exact for both.
double ValueOf(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits >> 15) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double mantissa = static_cast<double>(bits & ((1u << mantissa_bits) - 1));
  const double scale = std::ldexp(1.0, -mantissa_bits);
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa * scale, 1 - bias);
  return sign * std::ldexp(1 + mantissa * scale, exponent - bias);
}

TEST_F(LoadWeightsTest, HalfFormatsAreWidenedExactly) {
  // An embedding with room for every one of the 65,536 bit patterns.
  const std::string json = R"({"model_type": "gpt2", "vocab_size": 4096, "n_embd": 16, "n_layer": 1,
                               "n_head": 2, "n_positions": 4})";
  const Built source = BuildRandom(json);
  std::map<std::string, Stored> tensors = TensorsOf(source);
  for (const auto& [dtype, exponent_bits] : std::map<std::string, int>{{"F16", 5}, {"BF16", 8}}) {
    Stored& embedding = tensors.at("transformer.wte.weight");
    embedding = {dtype, {4096, 16}, std::vector<char>(2 * 65536)};
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      embedding.bytes[2 * bits] = static_cast<char>(bits & 0xFF);
      embedding.bytes[2 * bits + 1] = static_cast<char>(bits >> 8);
    }
    Write(tensors);
    Built target = Build(json);
    ASSERT_EQ(ErrorOfLoading(target), "loaded");
    const at::Tensor loaded = target.model->HeadWeight().detach();  // tied: the embedding
    const float* values = loaded.const_data_ptr<float>();
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      const double expected = ValueOf(bits, exponent_bits, 15 - exponent_bits);
      const auto found = static_cast<double>(values[bits]);
      const bool same = std::isnan(expected)
                            ? std::isnan(found)
                            : found == expected && std::signbit(found) == std::signbit(expected);
      if (!same && ++wrong <= 3) {
        ADD_FAILURE() << dtype << " bits " << bits << " gave " << found << ", expected "
                      << expected;
      }
    }
    EXPECT_EQ(wrong, 0) << dtype;
  }
}

TEST_F(LoadWeightsTest, AFolderWithoutWeightsSaysSo) {
  Built target = Build(LlamaJson());
  EXPECT_THAT(ErrorOfLoading(target), AllOf(HasSubstr(folder_), HasSubstr("model.safetensors")));
}

}  // namespace
}  // namespace breakeven
