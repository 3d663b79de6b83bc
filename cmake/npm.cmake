# cmake -DNPM=... -DFROM=FOLDER -DINTO=FOLDER -P npm.cmake
#
# INTO/node_modules becomes what FROM/package-lock.json says; INTO/installed tells for which lock file. Nothing is done
# where it is that already. npm takes what it has from its cache, so a filled one is enough without a network.
file(READ "${FROM}/package-lock.json" lock)
if(EXISTS "${INTO}/installed")
  file(READ "${INTO}/installed" installed)
  if(installed STREQUAL lock)
    file(TOUCH "${INTO}/installed")
    return()
  endif()
  file(REMOVE "${INTO}/installed")
endif()
file(MAKE_DIRECTORY "${INTO}")
file(COPY "${FROM}/package.json" "${FROM}/package-lock.json" DESTINATION "${INTO}")
execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
                WORKING_DIRECTORY "${INTO}" RESULT_VARIABLE rc OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT rc EQUAL 0)
  message(FATAL_ERROR "${said}\nnpm could not fetch what ${FROM}/package-lock.json names. Without a network it needs a cache "
                      "that has it: run npm ci there on a machine with one, and copy the folder that `npm config get cache` "
                      "names.")
endif()
file(WRITE "${INTO}/installed" "${lock}")
