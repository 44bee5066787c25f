#include "parts.h"
#include <stdlib.h>

static inline struct node *make(int key) {
    struct node *node = malloc(sizeof *node);
    if (!node) return 0;
    node->key = key;
    node->left = node->right = 0;
    return node;
}

struct node *insert(struct node *root, int key) {
    if (!root) return make(key);
    if (key < root->key) root->left = insert(root->left, key);
    else if (key > root->key) root->right = insert(root->right, key);
    return root;
}

int sum(const struct node *root, int (*weigh)(int)) {
    int total = 0;
    while (root) {
        int weight = weigh(root->key);
        if (weight < 0) return total;
        total += weight + sum(root->left, weigh);
        root = root->right;
    }
    return total;
}

/* The linker leaves it out, and debug information with it. */
int unused(int n) { return n * 3 + 1; }
