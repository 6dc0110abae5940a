// The standard normal distribution, in double.
#pragma once

namespace mu8::host {

// phi(z) = exp(-z^2 / 2) / sqrt(2 pi).
double NormalDensity(double z);

// Phi(z) = P(Z <= z), by the complementary error function: exact to a few units of the last place
// in the lower tail too.
double NormalCdf(double z);

// The z with Phi(z) = probability, which lies between 0 and 1, exclusively; by bisection.
double NormalQuantile(double probability);

}  // namespace mu8::host
