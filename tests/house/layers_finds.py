#!/usr/bin/python3
"""tools/layers.py passes a clean tree and finds each kind of breach in a bad one."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import layers
from sample import Sample

CLEAN = {
    "src/base/CMakeLists.txt": "ft_module(NAME base LIBS m)\n",
    "src/base/err.h": "",
    "src/net/CMakeLists.txt": "ft_module(NAME net DEPS base)\n",
    "src/net/http.h": '#include <sys/socket.h>\n#include "base/err.h"\n',
    "src/model/file/CMakeLists.txt": "# a comment\nft_module(NAME model/file DEPS base\n"
                                     "          LIBS PkgConfig::JANSSON m)\n",
    "src/model/file/gguf.c": '#include "model/file/gguf.h"\n#include <jansson.h>\n',
    "src/model/file/gguf.h": '#include "base/err.h"\n',
    "src/engine/CMakeLists.txt": "ft_module(NAME engine DEPS base model/file)\n",
    "src/engine/dev.h": '#include "model/file/gguf.h"\n',
    "src/engine/cpu/CMakeLists.txt": "ft_module(NAME engine/cpu DEPS base engine)\n",
    "src/engine/cpu/cpu.h": '#include "engine/dev.h"\n',
    "src/api/CMakeLists.txt": "ft_module(NAME api DEPS base net engine)\n",
    "src/api/chat.c": '#include "net/http.h"\n#include "engine/dev.h"\n',
    "src/cli/CMakeLists.txt": "add_executable(feitian main.c)\n",
    "src/cli/main.c": '#include "engine/cpu/cpu.h"\n#include "api/chat.h"\n',
}


class LayersFinds(unittest.TestCase):
    def errors(self, changes):
        with Sample({**CLEAN, **changes}) as root:
            return layers.check_tree(root)

    def assert_finds(self, changes, text):
        errors = self.errors(changes)
        self.assertTrue(any(text in error for error in errors), errors or "nothing found")

    def test_passes_a_clean_tree(self):
        self.assertEqual(self.errors({}), [])

    def test_a_higher_layer(self):
        self.assert_finds({"src/net/CMakeLists.txt": "ft_module(NAME net DEPS base api)\n"},
                          "a higher layer")

    def test_include_without_dep(self):
        self.assert_finds({"src/net/http.c": '#include "engine/dev.h"\n'}, "does not list engine")
        self.assert_finds({"src/net/http.c": '  #  include "engine/dev.h"\n'}, "does not list")

    def test_engine_and_model_know_nothing_of_the_network(self):
        self.assert_finds({"src/engine/CMakeLists.txt": "ft_module(NAME engine DEPS base net)\n"},
                          "engine may not use net")
        self.assert_finds({"src/engine/a.c": "#include <sys/socket.h>\n"}, "nothing of the network")
        self.assert_finds({"src/model/file/a.c": "#include <netinet/in.h>\n"}, "nothing of the net")

    def test_forbidden_neighbours_count_through_others(self):
        self.assert_finds({
            "src/model/x/CMakeLists.txt": "ft_module(NAME model/x DEPS net)\n",
            "src/engine/CMakeLists.txt": "ft_module(NAME engine DEPS base model/file model/x)\n",
        }, "engine may not use net")

    def test_circles(self):
        self.assert_finds({
            "src/engine/a/CMakeLists.txt": "ft_module(NAME engine/a DEPS engine)\n",
            "src/engine/CMakeLists.txt": "ft_module(NAME engine DEPS base model/file engine/a)\n",
        }, "in a circle")

    def test_devices_are_for_cli_alone(self):
        self.assert_finds({"src/api/b.c": '#include "engine/cpu/cpu.h"\n'}, "chosen in cli")
        self.assert_finds({"src/api/CMakeLists.txt": "ft_module(NAME api DEPS net engine/cpu)\n"},
                          "devices are chosen in cli")

    def test_libraries_are_declared(self):
        self.assert_finds({"src/engine/a.c": "#include <jansson.h>\n"}, "needs JANSSON")

    def test_names_and_folders(self):
        self.assert_finds({"src/net/CMakeLists.txt": "ft_module(NAME nett DEPS base)\n"},
                          "its folder is")
        self.assert_finds({"src/blobs/CMakeLists.txt": "ft_module(NAME blobs DEPS base)\n"},
                          "no layer holds")
        self.assert_finds({"src/net/CMakeLists.txt": "ft_module(NAME net DEPS bass)\n"},
                          "which is no module")
        self.assert_finds({"src/lost/a.c": "/* A. */\n"}, "belongs to no module")


if __name__ == "__main__":
    unittest.main()
