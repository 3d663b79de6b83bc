/* holds the place of the module */
typedef int ft_unused_engine_constrain;
