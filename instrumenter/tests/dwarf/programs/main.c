#include "parts.h"
#include <stdio.h>
#include <string.h>

#define HALF(n) ((n) / 2)

static int calls;

static int weigh(int key) {
    calls++;
    switch (key % 3) {
    case 0: return key;
    case 1: return HALF(key);
    default: return key > 90 ? -1 : 1;
    }
}

static inline int digits(const char *text) {
    int found = 0;
    for (size_t i = 0, n = strlen(text); i < n; i++)
        if (text[i] >= '0' && text[i] <= '9') found++;
    return found;
}

int main(int argc, char **argv) {
    struct node *root = 0;
    for (int i = 0; i < 100; i++) root = insert(root, i * 37 % 101);
    int total = sum(root, weigh);
    for (int i = 0; i < argc; i++) total += digits(argv[i]);
    printf("%d %d\n", total, calls);
    return 0;
}
