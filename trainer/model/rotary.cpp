#include "trainer/model/rotary.h"

#include <cmath>
#include <numbers>

namespace breakeven {
namespace {

// Llama 3.1: wavelengths that the original context never completed are stretched by `factor`, short
// ones stay, and between the two thresholds the frequency is a blend.
at::Tensor Stretched(const at::Tensor& frequencies, const RopeScaling& scaling) {
  const double context = static_cast<double>(scaling.original_max_position_embeddings);
  const double low_wavelength = context / scaling.low_freq_factor;
  const double high_wavelength = context / scaling.high_freq_factor;
  const at::Tensor wavelengths = 2 * std::numbers::pi / frequencies;
  const at::Tensor stretched =
      at::where(wavelengths > low_wavelength, frequencies / scaling.factor, frequencies);
  const at::Tensor smooth = (context / wavelengths - scaling.low_freq_factor) /
                            (scaling.high_freq_factor - scaling.low_freq_factor);
  const at::Tensor blended = (1 - smooth) * stretched / scaling.factor + smooth * stretched;
  const at::Tensor between =
      wavelengths.ge(high_wavelength).logical_and(wavelengths.le(low_wavelength));
  return at::where(between, blended, stretched);
}

}  // namespace

Rotary::Rotary(const ModelConfig& config, const at::Device& device) {
  const at::Tensor exponents = at::arange(0, config.head_dim, 2, at::kLong).to(at::kFloat) /
                               static_cast<double>(config.head_dim);
  frequencies_ = at::reciprocal(at::pow(at::Scalar(config.rope_theta), exponents));
  if (config.rope_scaling.has_value()) frequencies_ = Stretched(frequencies_, *config.rope_scaling);
  frequencies_ = frequencies_.to(device);
}

RotaryAngles Rotary::Angles(const at::Tensor& positions_T) const {
  const at::Tensor angles = at::outer(positions_T.to(at::kFloat), frequencies_);
  return {angles.cos(), angles.sin()};
}

}  // namespace breakeven
