struct node { int key; struct node *left, *right; };
struct node *insert(struct node *root, int key);
int sum(const struct node *root, int (*weigh)(int));
