# The tag of C++ exceptions. Zig's libraries for this target are built without them.
.globl __cpp_exception
.tagtype __cpp_exception i32
__cpp_exception:
