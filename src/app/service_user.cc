#include "app/service_user.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <vector>

namespace waypost::app {
namespace {

struct User {
  std::string name;
  uid_t uid;
  gid_t gid;
};

constexpr std::size_t kRoom = 16'384;  // of one entry's strings

std::optional<User> user_of(const std::string& name) {
  std::vector<char> room(kRoom);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 || !found)
    return std::nullopt;
  return User{name, entry.pw_uid, entry.pw_gid};
}

std::string name_of(uid_t uid) {
  std::vector<char> room(kRoom);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, room.data(), room.size(), &found) != 0 || !found)
    return "uid " + std::to_string(uid);
  return entry.pw_name;
}

/// The capability that the unit gives, and no other. False: root did not have it here.
bool keep_low_ports() {
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  sets[0].effective = sets[0].permitted = 1u << CAP_NET_BIND_SERVICE;
  if (::syscall(SYS_capset, &head, sets) == 0) return true;
  sets[0].effective = sets[0].permitted = 0;
  ::syscall(SYS_capset, &head, sets);
  return false;
}

Result<CheckedAs> turn_into(const User& user) {
  ::prctl(PR_SET_KEEPCAPS, 1);
  if (::initgroups(user.name.c_str(), user.gid) != 0 ||
      ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0)
    return fail(ErrorKind::invalid, "can't become user '" + user.name +
                                        "': " + describe_errno(errno) + "; run this as that user");
  CheckedAs as{user.name, {}, true};
  if (!keep_low_ports())
    as.remark = "root may not give CAP_NET_BIND_SERVICE here, so neither can a service manager";
  return as;
}

}  // namespace

Result<CheckedAs> become_user(const std::string& wanted) {
  const uid_t me = ::geteuid();
  if (wanted.empty() && me != 0) return CheckedAs{name_of(me), {}, false};
  const auto user = user_of(wanted.empty() ? kServiceUser : wanted);
  if (!user && wanted.empty())
    return CheckedAs{name_of(me),
                     "there is no user 'waypost' yet; files were judged as root, "
                     "which may read more than the daemon",
                     true};
  if (!user) return fail(ErrorKind::invalid, "there is no user '" + wanted + "' on this machine");
  if (user->uid == me) return CheckedAs{user->name, {}, me == 0};
  if (me != 0)
    return fail(ErrorKind::invalid,
                "only root can check as another user; run it as root, or as "
                "that user: sudo -u " +
                    wanted + " waypost check");
  return turn_into(*user);
}

}  // namespace waypost::app
