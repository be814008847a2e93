#include "device/device_registry.h"

#include <map>
#include <mutex>

namespace xbarax {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Device>> devices;
};

// Never destroyed: XLA's threads may outlive static destructors.
Registry& TheRegistry() {
  static auto* registry = new Registry;
  return *registry;
}

}  // namespace

std::string OpenDevice(const std::string& name, const xbarax_driver* driver,
                       const std::string& config) {
  std::string error;
  if (FindDevice(name, &error) != nullptr) return "";
  // Opening may take long, or call back: not while the registry waits.
  error.clear();
  std::shared_ptr<Device> opened = Device::Open(driver, config, &error);
  if (opened == nullptr) return error;
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  registry.devices.emplace(name, std::move(opened));  // of two threads the first one's stays
  return "";
}

std::shared_ptr<Device> FindDevice(const std::string& name, std::string* error) {
  Registry& registry = TheRegistry();
  std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.devices.find(name);
  if (found != registry.devices.end()) return found->second;
  *error = "no chip is open with [driver, config, isolated, deadline, record] = " + name +
           ": xb.hardware.load opens it";
  return nullptr;
}

void CloseDevice(const std::string& name) {
  std::shared_ptr<Device> closed;
  {
    Registry& registry = TheRegistry();
    std::lock_guard<std::mutex> lock(registry.mutex);
    const auto found = registry.devices.find(name);
    if (found == registry.devices.end()) return;
    closed = std::move(found->second);
    registry.devices.erase(found);
  }
  closed->Close();
}

}  // namespace xbarax
