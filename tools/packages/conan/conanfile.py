from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy


class Mu8(ConanFile):
    name = "mu8"
    version = "@VERSION@"
    license = "Apache-2.0"
    url = "@URL@"
    description = "Inference with quantized Bayesian neural networks, and how sure they are"
    topics = ("neural network", "bayesian", "uncertainty", "quantized")
    package_type = "static-library"
    settings = "os", "compiler", "build_type", "arch"
    exports_sources = "CMakeLists.txt", "LICENSE", "formats/*", "kernels/*", "engine/*"

    def requirements(self):
        if self.settings.arch == "x86_64":  # in the kernels alone
            self.requires("xsimd/[>=8.1]", headers=True, libs=False, visible=False)

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["MU8_BUILD_HOST"] = False
        toolchain.cache_variables["MU8_BUILD_TESTS"] = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, f"{self.package_folder}/licenses")

    def package_info(self):
        self.cpp_info.libs = ["mu8"]
