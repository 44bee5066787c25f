// Evaluates Jsonnet from standard input: the interpreter's own command needs file streams, which
// this target's C++ library does not have.

#include <cstdio>
#include <sstream>
#include <string>

#include "desugarer.h"
#include "lexer.h"
#include "parser.h"
#include "static_analysis.h"
#include "static_error.h"
#include "vm.h"

static char *no_imports(void *, const char *, const char *, char **, int *success)
{
    *success = 0;
    return nullptr;
}

int main()
{
    std::string source;
    for (int next; (next = std::getchar()) != EOF;) {
        source.push_back(static_cast<char>(next));
    }
    try {
        Allocator allocator;
        Tokens tokens = jsonnet_lex("stdin", source.c_str());
        AST *program = jsonnet_parse(&allocator, tokens);
        std::map<std::string, VmExt> nothing;
        jsonnet_desugar(&allocator, program, &nothing);
        jsonnet_static_analysis(program);
        std::string json = jsonnet_vm_execute(
            &allocator, program, nothing, 500, 1000, 2, {}, no_imports, nullptr, false);
        std::fputs(json.c_str(), stdout);
        return 0;
    } catch (const StaticError &error) {
        std::ostringstream message;
        message << error;
        std::printf("static error: %s\n", message.str().c_str());
    } catch (const RuntimeError &error) {
        std::printf("error: %s\n", error.msg.c_str());
    }
    return 1;
}
