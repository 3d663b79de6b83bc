/* holds the place of the module */
typedef int ft_unused_model_chat;
