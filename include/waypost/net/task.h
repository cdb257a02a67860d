// The coroutine type of Waypost, and its rules on GCC 12.
//
// Task<T> is an Asio awaitable bound to io_context's own executor: no type-erased executor on the
// hot path. Rules (tools/lint-coroutines checks them): named functions, never capturing lambdas;
// parameters by value or references that outlive the call; no temporary with a destructor in the
// same full expression as co_await; no co_await inside ?:, && or ||; no structured binding straight
// on a co_await.
#pragma once

#include "waypost/base/result.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace waypost::net {

using Executor = boost::asio::io_context::executor_type;
template <class T = void>
using Task = boost::asio::awaitable<T, Executor>;
inline constexpr boost::asio::use_awaitable_t<Executor> use_task{};

}  // namespace waypost::net
