struct list { int key; struct list *next; };

int ask(int);

__attribute__((noinline)) static int weigh(const struct list *list, int by) {
    int total = 0;
    for (; list; list = list->next) {
        int weight = list->key * by;
        if (weight > 100) return ask(weight);
        total += weight;
    }
    return total;
}

int run(const struct list *list) { return weigh(list, 3) + ask(2) + weigh(list, ask(4)); }
