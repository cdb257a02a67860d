// The command line of the stand-in.
#pragma once

#include "sink/certificates.h"
#include "sink/stand_in.h"

#include <CLI/CLI.hpp>

namespace waypost::load {

struct SinkArguments {
  sink::StandInOptions options;
  sink::CertificateOptions make;
};

void add_sink_options(CLI::App& app, SinkArguments& arguments);
int run_sink(const SinkArguments& arguments);

}  // namespace waypost::load
