# find_package(mu8): mu8::mu8, the device library, and on a host mu8::threads.
include("${CMAKE_CURRENT_LIST_DIR}/mu8Targets.cmake")
if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/mu8ThreadsTargets.cmake")
  include(CMakeFindDependencyMacro)
  find_dependency(Threads)
  include("${CMAKE_CURRENT_LIST_DIR}/mu8ThreadsTargets.cmake")
endif()
