// Counts the vowels on standard input: the same program as vowels-rust, in C.

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

// Kept out of line, so that the trace shows it.
#define TRACED __attribute__((noinline))

TRACED static bool is_vowel(unsigned char byte) {
    switch (byte) {
    case 'a': case 'e': case 'i': case 'o': case 'u':
    case 'A': case 'E': case 'I': case 'O': case 'U':
        return true;
    default:
        return false;
    }
}

TRACED static size_t count_vowels(const unsigned char *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += is_vowel(text[i]);
    }
    return count;
}

// Reads to the end of `input`. Returns NULL when reading fails or memory runs out.
TRACED static unsigned char *read_input(FILE *input, size_t *length) {
    size_t capacity = 4096;
    unsigned char *text = malloc(capacity);
    *length = 0;
    while (text != NULL) {
        *length += fread(text + *length, 1, capacity - *length, input);
        if (*length < capacity) {
            break;
        }
        capacity *= 2;
        unsigned char *larger = realloc(text, capacity);
        if (larger == NULL) {
            free(text);
        }
        text = larger;
    }
    if (text != NULL && ferror(input)) {
        free(text);
        return NULL;
    }
    return text;
}

int main(void) {
    size_t length;
    unsigned char *text = read_input(stdin, &length);
    if (text == NULL) {
        perror("vowels: cannot read standard input");
        return EXIT_FAILURE;
    }
    size_t count = count_vowels(text, length);
    free(text);
    if (printf("%zu\n", count) < 0 || fflush(stdout) != 0) {
        perror("vowels: cannot write to standard output");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
