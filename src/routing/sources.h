// From the sources of a configuration into a table that is being built.
//
// Private to routing. Reads files; what can't be read or used is a problem with its place, never an
// exception, and the other sources are read all the same.
#pragma once

#include "waypost/routing/router.h"

#include <string>
#include <vector>

namespace waypost::routing {

void add_source(TableBuilder& builder, const TableSource& source, const Options& options,
                std::vector<Problem>& problems);
void add_members_file(TableBuilder& builder, const WaveOptions& wave,
                      std::vector<Problem>& problems);

/// Of the kinds exchange and workmail; export_sources.cc.
void add_exchange_export(TableBuilder& builder, const TableSource& source, const Options& options,
                         std::vector<Problem>& problems);
void add_workmail_export(TableBuilder& builder, const TableSource& source, const Options& options,
                         std::vector<Problem>& problems);

Result<std::string> read_source_file(const std::string& path);
/// The same; a problem of the file if it can't be read.
std::optional<std::string> read_source_file(const std::string& path,
                                            std::vector<Problem>& problems);

}  // namespace waypost::routing
