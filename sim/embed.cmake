# SPDX-License-Identifier: Apache-2.0
# sim_embed(OUT NAMESPACE FUNCTION FILE...): writes OUT, a C++ file that defines FUNCTION() in
# NAMESPACE, which gives the names (without folder and ending) and the text of the files. So a
# program finds what is shipped with it wherever it lies.
function(sim_embed out namespace function)
  set(rows "")
  foreach(file IN LISTS ARGN)
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND rows "    {\"${name}\", R\"toml(${text})toml\"},\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
  file(CONFIGURE OUTPUT ${out} CONTENT
"// Written by sim/embed.cmake.
#include \"sim/machine/shipped.h\"
namespace ${namespace} {
const std::vector<shipped_file>& ${function}() {
  static const std::vector<shipped_file> files{
@rows@  };
  return files;
}
}  // namespace ${namespace}
" @ONLY)
endfunction()
